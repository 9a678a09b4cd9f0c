"""What a power cut leaves of a folder: of every change since the last sync, all, a part, or nothing.

POSIX promises only what was synced: the bytes of a file by a sync of the file, the names in a folder by a
sync of the folder.  Of the rest any part may be on the disk, but no name goes back beyond its last sync.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

__all__ = ["Platter"]


@dataclass(eq=False, slots=True)
class _File:
    synced: bytes = b""
    changes: list[tuple[int, bytes | None]] = field(default_factory=list)
    """What was written where since, in order; ``None`` for a new size."""

    def content(self) -> bytes:
        return _changed(self.synced, self.changes)

    def sync(self) -> None:
        self.synced, self.changes = self.content(), []

    def left(self, chance: Random, survival: float) -> bytes:
        """Return what a power cut leaves: some changes are lost, others torn."""
        kept: list[tuple[int, bytes | None]] = []
        for offset, written in self.changes:
            if chance.random() < survival:
                kept.append((offset, written))
            elif written and chance.random() < survival:
                kept.append((offset, written[: chance.randrange(len(written))]))
        return _changed(self.synced, kept)


@dataclass(eq=False, slots=True)
class _Folder:
    names: dict[str, list[_Node | None]] = field(default_factory=dict)
    """What each name has stood for: at the last sync first, now last."""

    def get(self, name: str) -> _Node | None:
        return self.names.get(name, [None])[-1]

    def put(self, name: str, node: _Node | None) -> None:
        self.names.setdefault(name, [None]).append(node)

    def sync(self) -> None:
        self.names = {name: [states[-1]] for name, states in self.names.items()}


_Node = _File | _Folder


class Platter:
    """Follows the changes under ``root``, where all that is there at first counts as synced."""

    def __init__(self, root: Path) -> None:
        self.root = root
        """May be set to where the folder was moved."""
        self._top = _read(root)
        self._open: dict[int, _Node] = {}

    def note(self, call: str, arguments: tuple[Any, ...], result: Any) -> None:
        """Follow a call of the ``os`` module that has succeeded."""
        getattr(self, f"_note_{call}")(*arguments, result)

    def cut_power(self, target: Path, chance: Random, survival: float) -> None:
        """Write to ``target`` what may be left, each change on the disk with a probability of ``survival``.

        At 0 only what was synced is left, at 1 everything.
        """
        _write(self._top, target, chance, survival, {})

    def _note_open(self, path: Path, flags: int, _mode: int, fd: int) -> None:
        folder, name = self._at(path)
        node = folder.get(name) if name else folder
        if node is None:
            node = _File()
            folder.put(name, node)
        if flags & os.O_TRUNC:
            _file(node).changes.append((0, None))
        self._open[fd] = node

    def _note_write(self, fd: int, content: bytes, written: int) -> None:
        file = _file(self._open[fd])  # Opened to append: the store writes so and by ``pwrite``.
        file.changes.append((len(file.content()), bytes(content[:written])))

    def _note_pwrite(self, fd: int, content: bytes, offset: int, written: int) -> None:
        _file(self._open[fd]).changes.append((offset, bytes(content[:written])))

    def _note_ftruncate(self, fd: int, size: int, _result: None) -> None:
        _file(self._open[fd]).changes.append((size, None))

    def _note_posix_fallocate(self, fd: int, offset: int, size: int, _result: None) -> None:
        file = _file(self._open[fd])
        file.changes.append((max(len(file.content()), offset + size), None))

    def _note_utime(self, fd: int, _times: None, _result: None) -> None:
        """Forget it: no time survives the cut, as a disk may lose it."""

    def _note_fsync(self, fd: int, _result: None) -> None:
        self._open[fd].sync()

    def _note_mkdir(self, path: Path, _mode: int, _result: None) -> None:
        folder, name = self._at(path)
        folder.put(name, _Folder())

    def _note_replace(self, source: Path, target: Path, _result: None) -> None:
        (before, old), (after, new) = self._at(source), self._at(target)
        after.put(new, before.get(old))
        before.put(old, None)

    def _note_unlink(self, path: Path, _result: None) -> None:
        folder, name = self._at(path)
        folder.put(name, None)

    def _at(self, path: Path) -> tuple[_Folder, str]:
        """Return the folder of a path, and the name in it; the root is the folder of itself."""
        *folders, name = path.relative_to(self.root).parts or ("",)
        node: _Node | None = self._top
        for part in folders:
            assert isinstance(node, _Folder)
            node = node.get(part)
        assert isinstance(node, _Folder)
        return node, name


def _file(node: _Node) -> _File:
    assert isinstance(node, _File)
    return node


def _changed(content: bytes, changes: list[tuple[int, bytes | None]]) -> bytes:
    changed = bytearray(content)
    for offset, written in changes:
        if written is None:
            del changed[offset:]
        changed.extend(bytes(max(0, offset - len(changed))))
        if written is not None:
            changed[offset : offset + len(written)] = written
    return bytes(changed)


def _read(folder: Path) -> _Folder:
    found = _Folder()
    for path in folder.iterdir():
        found.names[path.name] = [_read(path) if path.is_dir() else _File(path.read_bytes())]
    return found


def _write(
    folder: _Folder, target: Path, chance: Random, survival: float, written: dict[_File, Path]
) -> None:
    """Write what is left of a folder; a file that was caught between two folders is in both.

    Within a folder it is not: there no file system in use tears a rename apart.
    """
    target.mkdir(exist_ok=True)
    for name, states in folder.names.items():
        newer = (state for state in states[:0:-1] if chance.random() < survival)
        node, path = next(newer, states[0]), target / name
        if isinstance(node, _Folder):
            _write(node, path, chance, survival, written)
        elif node in written:
            if written[node].parent != target:
                os.link(written[node], path)
        elif node is not None:
            path.write_bytes(node.left(chance, survival))
            written[node] = path
