"""Forwards audit lines to a URL, as batches of CloudEvents 1.0 in JSON."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Literal

import msgspec

from entrepot.audit.forward import KeptLine
from entrepot.config.certificates import load_authorities
from entrepot.config.schema import WebhookSettings
from entrepot.telemetry.post import Poster

__all__ = ["WebhookTarget"]

_TYPE = "application/cloudevents-batch+json; charset=utf-8"


class _Event(msgspec.Struct, omit_defaults=True):
    """CloudEvents 1.0, sections 3.1 to 3.3; ``id`` is the same each time that the event is sent."""

    id: str
    source: str
    type: str
    time: str
    data: msgspec.Raw
    specversion: str
    subject: str | None = None


class _Head(msgspec.Struct):
    """What an event tells of its line: to read all of it would cost the serving more."""

    event: Literal["request", "action"]
    time: str
    upstream: str | None = None
    repository: str | None = None


_HEAD = msgspec.json.Decoder(_Head)


class WebhookTarget:
    """Raises ``SettingsInvalid`` when the file of authorities is of no use."""

    def __init__(self, settings: WebhookSettings) -> None:
        context = ssl.create_default_context()
        if settings.ca_file is not None:
            load_authorities(context, settings.ca_file)
        headers = {"Content-Type": _TYPE}
        if settings.token is not None:
            headers["Authorization"] = f"Bearer {settings.token.reveal()}"
        self._poster = Poster(settings.url, headers, context)
        self._source = f"/entrepot/{socket.gethostname()}"

    def send(self, lines: Sequence[KeptLine]) -> None:
        """Post all lines as one batch."""
        events = [event for line in lines if (event := self._event(line)) is not None]
        if events:
            self._poster.post(msgspec.json.encode(events))

    def close(self) -> None:
        """Nothing is open between two batches."""

    def _event(self, line: KeptLine) -> _Event | None:
        """Wrap the line as it is; ``None`` for one that was torn."""
        try:
            entry = _HEAD.decode(line.content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return _Event(
            id=str(line.behind),
            source=self._source,
            type=f"entrepot.{entry.event}",
            time=entry.time,
            data=msgspec.Raw(line.content),
            specversion="1.0",
            subject="/".join(part for part in (entry.upstream, entry.repository) if part) or None,
        )
