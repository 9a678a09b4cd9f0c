"""Waits for a database that another process has locked, for longer than SQLite itself does."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from entrepot.metadata.failures import FOREIGN_FAILURES, MetadataLocked, translate
from entrepot.telemetry.log import log

__all__ = ["Locks"]

_PAUSE = 0.1  # Seconds: SQLite may refuse at once.


class Locks:
    """Begins the transactions of one thread; ``end`` is for any other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ending = threading.Event()
        self.is_held = False
        """Another process has the file locked."""
        self._lost = 0

    def begin(self, connection: Connection, *, is_patient: bool) -> AbstractContextManager[object]:
        """Begin a transaction; the patient wait until nobody locks the file, but for the end."""
        while True:
            try:
                transaction = connection.begin()
            except FOREIGN_FAILURES as failure:
                if not self._is_lock(failure):
                    raise
                is_over = self._ending.wait(_PAUSE if is_patient else 0.0)
                if is_over:
                    _hurry(connection)
                    self._lost += is_patient
                if is_over or not is_patient:
                    raise
            else:
                self._granted()
                return transaction

    def end(self) -> None:
        self._ending.set()

    def tell_lost(self) -> None:
        """Have the log tell how much was not written because of a lock, if anything."""
        if self._lost:
            log.error(
                "changes_lost", path=str(self._path), count=self._lost, reason="it was locked to the end"
            )

    def _is_lock(self, failure: Exception) -> bool:
        if not isinstance(translate(failure, self._path), MetadataLocked):
            return False
        if not self.is_held:
            self.is_held = True
            advice = f"`fuser {self._path}` tells which process locks it: end that one"
            log.warning("metadata_locked", path=str(self._path), advice=advice)
        return True

    def _granted(self) -> None:
        if self.is_held:
            self.is_held = False
            log.info("metadata_unlocked", path=str(self._path))


def _hurry(connection: Connection) -> None:
    """Have what comes next be tried once, without SQLite's own patience."""
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout = 0")
