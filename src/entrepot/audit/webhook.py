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


_HEAD = msgspec.json.Decoder(_Head)
_BEGINNING = '{"event":"'
"""Of every line of ours: entries are written with their tag first."""


class WebhookTarget:
    """Keeps a connection to the collector."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._poster: Poster | None = None
        self._source = _as_json(f"/entrepot/{socket.gethostname()}")

    def send(self, batch: Batch) -> None:
        """Post all lines as one batch."""
        parts = list(self._parts(batch))
        if parts:
            try:
                self._poster = self._poster or self._made()
                self._poster.post("".join([*parts, "}]"]).encode("latin-1"))
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

    def _parts(self, batch: Batch) -> Iterator[str]:
        """Wrap each line as it is, but for those that were torn (CloudEvents 1.0, sections 3.1 to 3.3).

        To read and write anew all of a line would cost the serving more than all else of the audit
        log, and so would another copy of it.
        """
        ends, end = "[", batch.place.offset
        known, about = _Head("request", ""), ""
        for line, head in zip(batch.lines, _heads(batch), strict=True):
            end += len(line) + 1
            if head is None:
                continue
            if head != known:  # Lines of one moment tend to be about the same.
                known, about = head, self._about(head, batch.place.name)
            yield f'{ends}{{{about}{end}","data":'
            yield line
            ends = "},"

    def _about(self, head: _Head, file: str) -> str:
        """Return the members of an event, up to the place in its id: lines do not differ in the others."""
        subject = "/".join(part for part in (head.upstream, head.repository) if part)
        named = f'"subject":{_as_json(subject)},' if subject else ""
        return (
            f'"specversion":"1.0","source":{self._source},"type":"entrepot.{head.event}"'
            f',"time":{_as_json(head.time)},{named}"id":"{file}:'
        )


def _heads(batch: Batch) -> Sequence[_Head | None]:
    """Return the head of each line, ``None`` for one that was torn."""
    if all(map(str.startswith, batch.lines, repeat(_BEGINNING))):
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            heads = _HEAD.decode_lines(batch.content)
            if len(heads) == len(batch.lines):  # So that none of them holds two.
                return heads
    return [_head(line) for line in batch.content[:-1].split(b"\n")]


def _head(line: bytes) -> _Head | None:
    try:
        return _HEAD.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@lru_cache(1024)
def _as_json(text: str) -> str:
    """Return a string of JSON as bytes that are characters."""
    return msgspec.json.encode(text).decode("latin-1")
