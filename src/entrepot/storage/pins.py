"""The pins that were set while the cache ran, in a file of their own: they must outlive a lost database."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from msgspec import Struct

from entrepot.errors import StoreFailed
from entrepot.policy.retention import InvalidPin, Pin
from entrepot.ports.retention import SetPin
from entrepot.storage.failures import translate, translated
from entrepot.storage.system import System, sync_folder, write_all
from entrepot.telemetry.log import log

__all__ = ["FilePins"]

_Key = tuple[str, str]


class _Row(Struct):
    """A pin as the file has it."""

    upstream: str
    pattern: str
    created_at: float


class FilePins:
    """Implements ``ports.retention.Pins``.

    A file that is no list of pins is moved aside, with an error in the log.  One that cannot be read
    is left alone: pins cannot be set then, as that would be the end of those in it.
    """

    def __init__(self, path: Path, system: System = os) -> None:
        self._path = path
        self._system = system
        # One thread makes all changes, in their order: a caller that leaves has its change made all the same.
        self._writer = ThreadPoolExecutor(1, "pins")
        self._unreadable: StoreFailed | None = None
        self._pins: dict[_Key, SetPin] = {}
        try:
            self._pins = self._read()
        except StoreFailed as failure:
            self._unreadable = failure
            log.error("pins_unreadable", reason=str(failure), advice="make the file readable, then restart")

    def pins(self) -> list[SetPin]:
        return [self._pins[key] for key in sorted(self._pins)]

    async def set_pin(self, upstream: str, pin: Pin, now: float) -> bool:
        def add(pins: dict[_Key, SetPin]) -> None:
            pins.setdefault((upstream, str(pin)), SetPin(upstream, pin, now))

        return await self._change(add)

    async def remove_pin(self, upstream: str, pin: Pin) -> bool:
        def remove(pins: dict[_Key, SetPin]) -> None:
            pins.pop((upstream, str(pin)), None)

        return await self._change(remove)

    def close(self) -> None:
        """Finish the queued changes."""
        self._writer.shutdown()

    async def _change(self, change: Callable[[dict[_Key, SetPin]], None]) -> bool:
        """Tell whether it changed anything."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._apply, change)

    def _apply(self, change: Callable[[dict[_Key, SetPin]], None]) -> bool:
        if self._unreadable is not None:
            raise self._unreadable
        pins = dict(self._pins)
        change(pins)
        if pins == self._pins:
            return False
        rows = [_Row(key[0], key[1], pins[key].created_at) for key in sorted(pins)]
        self._write(msgspec.json.format(msgspec.json.encode(rows)) + b"\n")
        self._pins = pins
        return True

    def _write(self, content: bytes) -> None:
        """Replace the file so that a power cut leaves the old or the new, and after the return the new."""
        new = self._path.with_name(f"{self._path.name}.new")
        with translated(self._path):
            fd = self._system.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                write_all(self._system, fd, content)
                self._system.fsync(fd)
            finally:
                os.close(fd)
            self._system.replace(new, self._path)
            sync_folder(self._system, self._path.parent)

    def _read(self) -> dict[_Key, SetPin]:
        with translated(self._path):
            content = self._path.read_bytes() if self._path.exists() else b"[]"
        try:
            rows = msgspec.json.decode(content, type=list[_Row])
            pins = [SetPin(row.upstream, Pin.parse(row.pattern), row.created_at) for row in rows]
        except (msgspec.DecodeError, InvalidPin, UnicodeDecodeError) as failure:
            self._set_aside(failure)
            return {}
        return {(known.upstream, str(known.pin)): known for known in pins}

    def _set_aside(self, failure: Exception) -> None:
        names = (self._path.with_name(f"{self._path.name}.corrupt-{number}") for number in itertools.count(1))
        aside = next(name for name in names if not name.exists())
        try:
            self._system.replace(self._path, aside)
        except OSError as error:
            raise translate(error, self._path) from failure
        advice = "mend the file and move it back before a restart, or set the pins again"
        log.error("pins_damaged", moved_to=str(aside), reason=str(failure), advice=advice)
