"""Sends audit lines on to who collects them: from the files, so that they are the queue, whatever happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
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
_LAST_SECONDS = 1.0
_LONGEST_CLOSE = 2.0
_LONGEST_REASON = 300
"""Characters: what a collector answers may be of any length, and is logged."""


class Place(NamedTuple):
    name: str
    offset: int

    def __str__(self) -> str:
        return f"{self.name}:{self.offset}"


class Batch(NamedTuple):
    """Whole lines as they stand in a file, each with its end; ``place`` is where the first begins.

    Where a line ends in the files is its own, the same each time it is sent.
    """

    place: Place
    content: bytes

    @property
    def lines(self) -> list[bytes]:
        """Return the lines without their ends."""
        return self.content[:-1].split(b"\n")

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
        self._deadline = inf
        self._closing = threading.Event()
        # A daemon, so that a target that does not answer does not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=f"audit-{name}", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Send what is left for a second at most, unless the target is away, and stop; do not wait for it."""
        self._deadline = min(self._deadline, time.monotonic() + _LAST_SECONDS)
        self._closing.set()

    def close(self) -> None:
        """Finish, and wait for it; what was not sent yet is sent after the next start."""
        self.finish()
        self._thread.join(_LONGEST_CLOSE)

    def _run(self) -> None:
        pause, is_away = _LOOK_SECONDS, False
        while not self._closing.wait(pause):
            is_away = not self._attempt()
            pause = min(2 * pause, _LONGEST_PAUSE) if is_away else _LOOK_SECONDS
        if not is_away:
            self._attempt()
        self._target.close()

    def _attempt(self) -> bool:
        """Tell whether all could be sent."""
        try:
            self._send_all()
        except OSError as failure:
            reason = failure.strerror or str(failure)
            self._report(Report(self._name, failure=reason[:_LONGEST_REASON]))
            return False
        return True

    def _send_all(self) -> None:
        batches = lines = 0
        try:
            while time.monotonic() < self._deadline and (batch := self._next_batch()):
                self._target.send(batch)
                self._place = batch.behind
                batches, lines = batches + 1, lines + batch.content.count(b"\n")
                if batches == _REMEMBERED_BATCHES:
                    self._remember(lines)
                    batches = lines = 0
        finally:
            if batches:
                self._remember(lines)

    def _next_batch(self) -> Batch | None:
        """Return the lines that come next; ``None`` if there are none yet.

        Tell of files that were removed before they were sent: once, however many follow each other.
        """
        lost_from = ""
        if self._place.name:
            with suppress(FileNotFoundError):  # To list all files would cost more than to read of one.
                if batch := _batch_at(self._folder, self._place):
                    return batch
        ahead = [path.name for path in audit_files(self._folder) if path.name >= self._place.name]
        if self._place.name not in ("", *ahead):
            lost_from = self._place.name
        for name in ahead:
            place = self._place if name == self._place.name else Place(name, 0)
            try:
                batch = _batch_at(self._folder, place)
            except FileNotFoundError:  # Since it was listed.
                lost_from = lost_from or name
                continue
            if lost_from:
                self._report(Report(self._name, lost_from=lost_from))
            lost_from, self._place = "", place
            if batch:
                return batch
        return None

    def _remembered(self) -> Place:
        """Return where it was; at first, and where that cannot be told, the oldest line there is."""
        try:
            name, _, offset = self._progress.read_text("utf-8").strip().partition(":")
            place = Place(name, int(offset))
        except (OSError, ValueError):
            return Place("", 0)
        if begun_at(name) is None or place.offset < 0:
            return Place("", 0)
        return Place(name, min(place.offset, self._size_of(name)))

    def _size_of(self, name: str) -> int:
        """Return where lines are added: a power cut takes back what was sent, and what comes there is new."""
        try:
            return (self._folder / name).stat().st_size
        except OSError:
            return 0

    def _remember(self, lines: int) -> None:
        """Note how far it is, and report what was sent since: whoever is told of each batch cannot serve."""
        self._report(Report(self._name, sent=lines))
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
    return Batch(place, content[:end]) if end else None
