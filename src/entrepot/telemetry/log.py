"""The log: an event word and its fields a line, on standard error."""

from __future__ import annotations

import json
import logging
from typing import Literal

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from entrepot.telemetry.events import Events
from entrepot.telemetry.lines import LineWriter

__all__ = ["Level", "Style", "configure_log", "log", "log_crash", "set_level"]

Level = Literal["debug", "info", "warning", "error"]
Style = Literal["json", "console"]

log: FilteringBoundLogger = structlog.get_logger()

_ENCODER = msgspec.json.Encoder(enc_hook=str)


def configure_log(
    level: Level, style: Style, lines: LineWriter, events: Events | None = None, *, coloured: bool = False
) -> None:
    """Put lines of ``level`` and above into ``lines`` and ``events``; a second call changes all of it.

    ``json`` is one object a line, ``console`` is for people.  What libraries say to
    ``logging`` at warning or above becomes lines of the event ``library``.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *([events] if events is not None else []),
            *_renderers(style, coloured=coloured),
        ],
        logger_factory=lambda *_: _Logger(lines),
        # Loggers already in use must see the second call.
        cache_logger_on_first_use=False,
    )
    set_level(level)
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.WARNING, force=True)


def set_level(level: Level) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))


class _Logger:
    """What structlog hands a rendered line to, by the name of its level."""

    def __init__(self, lines: LineWriter) -> None:
        self._lines = lines

    def msg(self, line: bytes) -> None:
        self._lines.put(line + b"\n")

    debug = info = warning = error = critical = msg


class _FromLibraries(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        fields = {"logger": record.name, "message": record.getMessage(), "exc_info": record.exc_info}
        log.log(record.levelno, "library", **fields)


def log_crash(task: str, failure: BaseException) -> None:
    """Tell of a task that ended as none should."""
    log.error("task_failed", task=task, exc_info=failure)


def _renderers(style: Style, *, coloured: bool) -> list[Processor]:
    if style == "console":
        return [structlog.dev.ConsoleRenderer(colors=coloured, timestamp_key="time"), _as_bytes]
    return [structlog.processors.format_exc_info, _as_json]


def _as_bytes(_logger: object, _method: str, text: EventDict | str) -> bytes:
    return str(text).encode("utf-8", "backslashreplace")


def _as_json(_logger: object, _method: str, fields: EventDict) -> bytes:
    try:
        return _ENCODER.encode(fields)
    except UnicodeEncodeError:
        # A lone surrogate, from a file's name or a header's bytes, which only JSON's escapes can say.
        return json.dumps(fields, default=str).encode()
