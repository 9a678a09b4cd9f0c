from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import structlog

from entrepot.telemetry.log import configure_log, log


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stream() -> TextIOWrapper:
    return TextIOWrapper(BytesIO(), encoding="utf-8")


def _text(stream: TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def _lines(stream: TextIOWrapper) -> list[dict[str, object]]:
    return [json.loads(line) for line in _text(stream).splitlines()]


def test_a_line_is_one_object_with_its_event_level_and_time(stream: TextIOWrapper) -> None:
    configure_log("info", "json", stream)
    log.warning("fill_failed", upstream="docker.io", path=Path("data"))
    (line,) = _lines(stream)
    time = line.pop("time")
    assert isinstance(time, str)
    assert time.endswith("Z")
    assert line == {"event": "fill_failed", "level": "warning", "upstream": "docker.io", "path": "data"}


def test_lines_below_the_level_are_left_out(stream: TextIOWrapper) -> None:
    configure_log("warning", "json", stream)
    log.info("served")
    log.error("broken")
    assert [line["event"] for line in _lines(stream)] == ["broken"]


def test_a_logger_in_use_obeys_a_second_call(stream: TextIOWrapper) -> None:
    bound = log.bind(job="sweep")
    configure_log("error", "json", stream)
    bound.info("before")
    configure_log("debug", "json", stream)
    log.debug("after")
    assert [line["event"] for line in _lines(stream)] == ["after"]


def test_a_failure_is_told_with_its_traceback(stream: TextIOWrapper) -> None:
    configure_log("info", "json", stream)
    try:
        raise ValueError("odd")
    except ValueError:
        log.exception("job_failed")
    (line,) = _lines(stream)
    assert str(line["exception"]).splitlines()[-1] == "ValueError: odd"


def test_text_that_is_no_unicode_is_written_all_the_same(stream: TextIOWrapper) -> None:
    configure_log("info", "json", stream)
    log.info("odd", path="\udcff")
    assert [line["path"] for line in _lines(stream)] == ["\udcff"]


def test_the_console_gets_text_and_no_colours_unless_it_shows_them(stream: TextIOWrapper) -> None:
    configure_log("info", "console", stream)
    log.info("fill_started", size=5)
    text = _text(stream)
    assert "fill_started" in text
    assert "size=5" in text
    assert "\x1b" not in text


def test_what_libraries_log_becomes_lines_of_the_same_form(stream: TextIOWrapper) -> None:
    configure_log("info", "json", stream)
    logging.getLogger("asyncio").error("Task %s was destroyed", "x")
    logging.getLogger("asyncio").info("chatter")
    (line,) = _lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("library", "error", "asyncio")
    assert line["message"] == "Task x was destroyed"
