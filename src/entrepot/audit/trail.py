"""The port ``AuditLog``: an entry becomes a line in the audit files, in the log, or in both."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from entrepot.audit.files import AuditFiles, Keeping
from entrepot.audit.forwarder_process import ForwarderProcess
from entrepot.audit.lines import AlikeLines, as_json, as_text, read_line
from entrepot.audit.messages import Order, Webhook
from entrepot.audit.reader import read_page
from entrepot.config.certificates import load_authorities
from entrepot.config.schema import AuditSettings, WebhookSettings
from entrepot.ports.audit import AlikeEntries, AuditEntry, AuditPage, AuditQuery, RequestEntry
from entrepot.telemetry.lines import BATCH_BYTES, LineWriter
from entrepot.telemetry.log import Style
from entrepot.telemetry.metrics import Metrics

__all__ = ["AuditTrail"]


class AuditTrail:
    """Writes files from a thread of its own, so that no request waits for the disk."""

    def __init__(
        self,
        settings: AuditSettings,
        data: Path,
        now: Callable[[], float],
        metrics: Metrics,
        *,
        log: LineWriter | None = None,
        style: Style = "json",
    ) -> None:
        """Keep the files in a folder in ``data``, unless the settings name another.

        ``log`` takes the entries as well, in its ``style``.  Raises ``SettingsInvalid`` when the webhook's
        file of authorities is of no use.
        """
        self._folder = data / "audit" if settings.folder is None else Path(settings.folder)
        self._log = log
        self._style = style
        self._files = AuditFiles(self._folder, _keeping(settings), now)
        self._kept: LineWriter | None = None
        if settings.enabled:
            most = min(settings.file_size, BATCH_BYTES)  # Else one batch would make a file too large.
            self._kept = LineWriter(self._files.append, "audit", retries=True, batch_bytes=most)
            self._kept.dropped = metrics.audit_dropped().inc
        order = _order(settings, self._folder)
        self._forwarder = ForwarderProcess(order, metrics) if order.targets else None

    @property
    def is_wanted(self) -> bool:
        """Tell whether anything becomes of an entry."""
        return self._kept is not None or self._log is not None

    def record(self, *entries: AuditEntry) -> None:
        self._put(as_json(*entries))

    def alike(self, entry: RequestEntry) -> AlikeEntries:
        return _Alike(AlikeLines(entry), self._put)

    def _put(self, lines: bytes) -> None:
        if self._kept is not None:
            self._kept.put(lines)
        if self._log is not None:
            self._log.put(lines if self._style == "json" else _as_text(lines))

    async def query(self, query: AuditQuery, limit: int, cursor: str | None = None) -> AuditPage:
        return await asyncio.to_thread(read_page, self._folder, query, limit, cursor)

    async def tidy(self) -> None:
        """Remove what is not kept any longer, though nothing is written."""
        if self._kept is not None:
            with suppress(OSError):  # The log has told of it.
                await asyncio.to_thread(self._files.append, b"")

    def close(self) -> None:
        """Write what is held, for two seconds at most."""
        if self._kept is not None:
            self._kept.close()
        if self._forwarder is not None:
            self._forwarder.close()
        self._files.close()


class _Alike:
    """Implements ``ports.audit.AlikeEntries``."""

    def __init__(self, lines: AlikeLines, put: Callable[[bytes], None]) -> None:
        self._lines = lines
        self._put = put

    def record(self, now: float, remote: str, durations: Sequence[float]) -> None:
        self._put(self._lines.of(now, remote, durations))


def _as_text(lines: bytes) -> bytes:
    return b"".join(as_text(entry) for entry in map(read_line, lines.splitlines()) if entry is not None)


def _order(settings: AuditSettings, folder: Path) -> Order:
    """Raise ``SettingsInvalid`` when the file of authorities is of no use."""
    webhook = None if settings.webhook is None else _webhook(settings.webhook)
    return Order(str(folder.resolve()), os.getpid(), settings.syslog, webhook)


def _webhook(settings: WebhookSettings) -> Webhook:
    if settings.ca_file is not None:
        load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), settings.ca_file)
    token = None if settings.token is None else settings.token.reveal()
    return Webhook(settings.url, token, settings.ca_file)


def _keeping(settings: AuditSettings) -> Keeping:
    return Keeping(
        file_size=settings.file_size,
        file_seconds=settings.file_age,
        size=settings.keep_size,
        seconds=settings.keep_for,
        files=settings.keep_files,
    )
