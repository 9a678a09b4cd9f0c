"""Sends audit lines on to who collects them: from the files, so that they are the queue, whatever happens."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from entrepot.audit.folder import audit_files
from entrepot.telemetry.log import log
from entrepot.telemetry.metrics import Metrics

__all__ = ["Batch", "Forwarder", "Place", "Target"]

_BATCH_BYTES = 256 << 10
_REMEMBERED_BATCHES = 16
"""After a sudden end no more than these come twice: to remember each costs a tenth of sending it."""
_SHARE = 0.01
_HURRIED_SHARE = 0.25
"""Of a processor: in a burst lines wait, and requests do not, until so many wait that some might be lost."""
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

    def __init__(
        self, name: str, folder: Path, target: Target, metrics: Metrics, *, most_waiting: int
    ) -> None:
        """``folder`` is that of the files; ``name`` tells targets apart.

        It takes its time until files of ``most_waiting`` bytes wait, and then less until all is sent.
        """
        self._name = name
        self._folder = folder
        self._target = target
        self._metrics = metrics
        for family in (metrics.audit_forwarded, metrics.audit_forward_failures, metrics.audit_forward_gaps):
            family(name)  # From nothing to the first is an increase too: see ``Family``.
        self._progress = folder / f"{name}.sent"
        self._place = self._remembered()
        self._is_failing = False
        self._most_waiting = most_waiting
        self._hurries = False
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
                self._note(failure)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._target.close()

    def _send_all(self) -> None:
        sent = 0
        try:
            began = time.thread_time()
            while batch := self._next_batch():
                self._send(batch)
                sent += 1
                if sent % _REMEMBERED_BATCHES == 0:
                    self._remember()
                ended = time.thread_time()
                if self._closing.wait((ended - began) * self._rest()):
                    break
                began = ended
        finally:
            if sent % _REMEMBERED_BATCHES:
                self._remember()
        self._hurries = False

    def _rest(self) -> float:
        """Return how many times as long as the work to rest: little before lines are removed unsent."""
        if not self._hurries:
            self._hurries = self._waiting() >= self._most_waiting
        return 1 / (_HURRIED_SHARE if self._hurries else _SHARE) - 1

    def _waiting(self) -> int:
        """Return how many bytes of the files are ahead of where it is."""
        size = -self._place.offset
        for path in self._files_ahead():
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        return size

    def _files_ahead(self) -> list[Path]:
        return [path for path in audit_files(self._folder) if path.name >= self._place.name]

    def _send(self, batch: Batch) -> None:
        self._target.send(batch)
        self._metrics.audit_forwarded(self._name).inc(len(batch.lines))
        self._place = batch.behind
        if self._is_failing:
            self._is_failing = False
            log.info("audit_forwarded_again", target=self._name)

    def _note(self, failure: OSError) -> None:
        self._metrics.audit_forward_failures(self._name).inc()
        if not self._is_failing:
            self._is_failing = True
            log.warning("audit_not_forwarded", target=self._name, reason=failure.strerror or str(failure))

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
        ahead = self._files_ahead()
        if ahead and self._place.name and ahead[0].name != self._place.name:
            self._metrics.audit_forward_gaps(self._name).inc()
            log.warning("audit_lost_to_target", target=self._name, files_from=self._place.name)
        return ahead

    def _remembered(self) -> Place:
        """Return where it was; at first, and where that cannot be told, the oldest line there is."""
        try:
            name, _, offset = self._progress.read_text("utf-8").strip().partition(":")
            return Place(name, int(offset))
        except (OSError, ValueError):
            return Place("", 0)

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
    end = content.rfind(b"\n") + 1
    return Batch.of(place, content[:end]) if end else None
