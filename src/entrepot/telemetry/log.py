"""The log: an event word and its fields a line, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

__all__ = ["Level", "Style", "configure_log", "log"]

Level = Literal["debug", "info", "warning", "error"]
Style = Literal["json", "console"]

log: FilteringBoundLogger = structlog.get_logger()

_ENCODER = msgspec.json.Encoder(enc_hook=str)


def configure_log(level: Level, style: Style, stream: TextIO | None = None) -> None:
    """Write lines of ``level`` and above to ``stream``; a second call changes all of it.

    ``json`` is one object a line, ``console`` is for people.  What libraries say to
    ``logging`` at warning or above becomes lines of the event ``library``.
    """
    stream = stream or sys.stderr
    renderers, factory = _rendering(style, stream)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        # Loggers already in use must see the second call.
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.WARNING, force=True)


class _FromLibraries(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        fields = {"logger": record.name, "message": record.getMessage(), "exc_info": record.exc_info}
        log.log(record.levelno, "library", **fields)


def _rendering(style: Style, stream: TextIO) -> tuple[list[Processor], Any]:
    if style == "console":
        console = structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time")
        return [console], structlog.WriteLoggerFactory(stream)
    return [structlog.processors.format_exc_info, _as_json], structlog.BytesLoggerFactory(stream.buffer)


def _as_json(_logger: object, _method: str, fields: EventDict) -> bytes:
    try:
        return _ENCODER.encode(fields)
    except UnicodeEncodeError:
        # A lone surrogate, from a file's name or a header's bytes, which only JSON's escapes can say.
        return json.dumps(fields, default=str).encode()
