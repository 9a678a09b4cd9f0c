"""Forwards audit lines to a URL, as batches of CloudEvents 1.0 in JSON."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import repeat
from typing import Literal

import msgspec

from entrepot.audit.forward import Batch
from entrepot.audit.messages import Webhook
from entrepot.config.certificates import load_authorities
from entrepot.errors import SettingsInvalid
from entrepot.telemetry.post import Poster

__all__ = ["WebhookTarget"]

_TYPE = "application/cloudevents-batch+json; charset=utf-8"


class _Head(msgspec.Struct, gc=False):
    """What an event tells of its line: to read all of it would cost the serving more."""

    event: Literal["request", "action"]
    time: str
    upstream: str | None = None
    repository: str | None = None


class _Event(msgspec.Struct, gc=False, tag_field="specversion", tag="1.0", omit_defaults=True):
    """CloudEvents 1.0, sections 3.1 to 3.3; ``data`` is a line as it stands."""

    source: str
    type: str
    time: str
    id: str
    data: msgspec.Raw
    subject: str = ""


_HEAD = msgspec.json.Decoder(_Head)
_ENCODER = msgspec.json.Encoder()
_BEGINNING = b'{"event":"'
"""Of every line of ours: entries are written with their tag first."""


class WebhookTarget:
    """Keeps a connection to the collector."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._poster: Poster | None = None
        self._source = f"/entrepot/{socket.gethostname()}"

    def send(self, batch: Batch) -> None:
        """Post all lines as one batch."""
        events = list(self._events(batch))
        if events:
            try:
                self._poster = self._poster or self._made()
                self._poster.post(_ENCODER.encode(events))
            except OSError:
                self.close()  # So that the authorities are read again: the file may have been renewed.
                raise

    def close(self) -> None:
        if self._poster is not None:
            self._poster.close()
        self._poster = None

    def _made(self) -> Poster:
        """Raise ``OSError`` where the file of authorities is of no use."""
        headers = {"Content-Type": _TYPE}
        if self._webhook.token is not None:
            headers["Authorization"] = f"Bearer {self._webhook.token}"
        context = None
        if self._webhook.ca_file is not None:
            context = ssl.create_default_context()
            try:
                load_authorities(context, self._webhook.ca_file)
            except SettingsInvalid as failure:
                raise OSError(str(failure)) from failure
        return Poster(self._webhook.url, headers, context)

    def _events(self, batch: Batch) -> Iterator[_Event]:
        """Wrap each line, but for those that were torn."""
        lines, place = batch.lines, batch.place
        file, end = f"{place.name}:", place.offset
        for line, head in zip(lines, _heads(batch.content, lines), strict=True):
            end += len(line) + 1
            if head is not None:
                yield _Event(
                    self._source,
                    f"entrepot.{head.event}",
                    head.time,
                    f"{file}{end}",
                    msgspec.Raw(line),
                    _subject(head.upstream, head.repository),
                )


@lru_cache(1024)
def _subject(upstream: str | None, repository: str | None) -> str:
    return "/".join(part for part in (upstream, repository) if part)


def _heads(content: bytes, lines: Sequence[bytes]) -> Sequence[_Head | None]:
    """Return the head of each line, ``None`` for one that was torn."""
    if all(map(bytes.startswith, lines, repeat(_BEGINNING))):
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            heads = _HEAD.decode_lines(content)
            if len(heads) == len(lines):  # So that none of them holds two.
                return heads
    return [_head(line) for line in lines]


def _head(line: bytes) -> _Head | None:
    try:
        return _HEAD.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
