"""Sends audit lines on to who collects them: from the files, so that they are the queue, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from entrepot.audit.folder import audit_files, begun_at
from entrepot.audit.messages import Report

__all__ = ["Batch", "Forwarder", "Place", "Target"]

_BATCH_BYTES = 64 << 10
_REMEMBERED_BATCHES = 16
"""After a sudden end no more than these come twice: to remember each costs a tenth of sending it."""
_LOOK_SECONDS = 1.0
_LONGEST_PAUSE = 60.0
_LONGEST_CLOSE = 2.0


class Place(NamedTuple):
    name: str
    offset: int

    def __str__(self) -> str:
        return f"{self.name}:{self.offset}"


class Batch(NamedTuple):
    """Whole lines as they stand in a file, each with its end; ``place`` is where the first begins.

    ``lines`` are the same without their ends, a character a byte: to join texts costs half of what
    it does of bytes.  Where a line ends in the files is its own, the same each time it is sent.
    """

    place: Place
    content: bytes
    lines: list[str]

    @classmethod
    def of(cls, place: Place, content: bytes) -> Batch:
        return cls(place, content, content[:-1].decode("latin-1").split("\n"))

    @property
    def behind(self) -> Place:
        return Place(self.place.name, self.place.offset + len(self.content))


class Target(Protocol):
    def send(self, batch: Batch) -> None:
        """Hand all of it over; raise ``OSError`` where that is not certain: it will come again."""
        ...

    def close(self) -> None: ...


class Forwarder:
    """Sends every line at least once, in order, at its own pace; a restart goes on where it was.

    What the files no longer keep by the time the target can be reached is lost to it, and counted.
    """

    def __init__(self, name: str, folder: Path, target: Target, report: Callable[[Report], object]) -> None:
        """``folder`` is that of the files; ``name`` tells targets apart; ``report`` is told from a thread."""
        self._name = name
        self._folder = folder
        self._target = target
        self._report = report
        self._progress = folder / f"{name}.sent"
        self._place = self._remembered()
        self._closing = threading.Event()
        # A daemon, so that a target that does not answer does not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=f"audit-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; what was not sent yet is sent after the next start."""
        self._closing.set()
        self._thread.join(_LONGEST_CLOSE)

    def _run(self) -> None:
        pause = _LOOK_SECONDS
        while not self._closing.wait(pause):
            try:
                self._send_all()
                pause = _LOOK_SECONDS
            except OSError as failure:
                self._report(Report(self._name, failure=failure.strerror or str(failure)))
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._target.close()

    def _send_all(self) -> None:
        sent = 0
        try:
            while not self._closing.is_set() and (batch := self._next_batch()):
                self._target.send(batch)
                self._place = batch.behind
                self._report(Report(self._name, sent=len(batch.lines)))
                sent += 1
                if sent % _REMEMBERED_BATCHES == 0:
                    self._remember()
        finally:
            if sent % _REMEMBERED_BATCHES:
                self._remember()

    def _next_batch(self) -> Batch | None:
        """Return the lines that come next; ``None`` if there are none yet."""
        if self._place.name:
            with suppress(FileNotFoundError):  # To list all files would cost more than to read of one.
                if batch := _batch_at(self._folder, self._place):
                    return batch
        for path in self._ahead():
            if path.name != self._place.name:
                self._place = Place(path.name, 0)
            if batch := _batch_at(self._folder, self._place):
                return batch
        return None

    def _ahead(self) -> list[Path]:
        """Return the files from where it is; tell of those that were removed before they were sent."""
        ahead = [path for path in audit_files(self._folder) if path.name >= self._place.name]
        if ahead and self._place.name and ahead[0].name != self._place.name:
            self._report(Report(self._name, lost_from=self._place.name))
        return ahead

    def _remembered(self) -> Place:
        """Return where it was; at first, and where that cannot be told, the oldest line there is."""
        try:
            name, _, offset = self._progress.read_text("utf-8").strip().partition(":")
            place = Place(name, int(offset))
        except (OSError, ValueError):
            return Place("", 0)
        return place if begun_at(name) is not None and place.offset >= 0 else Place("", 0)

    def _remember(self) -> None:
        part = self._progress.with_suffix(".part")
        with suppress(OSError):  # On a full disk: some lines will be sent twice.
            part.write_text(f"{self._place}\n", "utf-8")
            part.replace(self._progress)


def _batch_at(folder: Path, place: Place) -> Batch | None:
    """Read whole lines; what is behind the last of them is not all there yet, or is torn."""
    with (folder / place.name).open("rb") as file:
        file.seek(place.offset)
        content = file.read(_BATCH_BYTES)
        if b"\n" not in content:  # A client makes a line as long as it likes: such a one is sent alone.
            content += file.readline()
    end = content.rfind(b"\n") + 1
    return Batch.of(place, content[:end]) if end else None
