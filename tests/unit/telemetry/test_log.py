from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import structlog

from entrepot.telemetry.lines import LineWriter
from entrepot.telemetry.log import configure_log, log, set_level


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


class Written(LineWriter):
    """``text`` ends the writing and tells what was written."""

    def __init__(self) -> None:
        self._stream = BytesIO()
        super().__init__(self._stream.write, "log")

    @property
    def text(self) -> str:
        self.close()
        return self._stream.getvalue().decode()

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def written() -> Written:
    return Written()


def test_a_line_is_one_object_with_its_event_level_and_time(written: Written) -> None:
    configure_log("info", "json", written)
    log.warning("fill_failed", upstream="docker.io", path=Path("data"))
    (line,) = written.lines
    time = line.pop("time")
    assert isinstance(time, str)
    assert time.endswith("Z")
    assert line == {"event": "fill_failed", "level": "warning", "upstream": "docker.io", "path": "data"}


def test_lines_below_the_level_are_left_out(written: Written) -> None:
    configure_log("warning", "json", written)
    log.info("served")
    log.error("broken")
    assert [line["event"] for line in written.lines] == ["broken"]


def test_a_logger_in_use_obeys_a_change_of_the_level(written: Written) -> None:
    bound = log.bind(job="sweep")
    configure_log("error", "json", written)
    bound.info("before")
    set_level("debug")
    log.debug("after")
    assert [line["event"] for line in written.lines] == ["after"]


def test_a_failure_is_told_with_its_traceback(written: Written) -> None:
    configure_log("info", "json", written)
    try:
        raise ValueError("odd")
    except ValueError:
        log.exception("job_failed")
    (line,) = written.lines
    assert str(line["exception"]).splitlines()[-1] == "ValueError: odd"


def test_text_that_is_no_unicode_is_written_all_the_same(written: Written) -> None:
    configure_log("info", "json", written)
    log.info("odd", path="\udcff")
    assert [line["path"] for line in written.lines] == ["\udcff"]


def test_the_console_gets_text_and_no_colours_unless_it_shows_them(written: Written) -> None:
    configure_log("info", "console", written)
    log.info("fill_started", size=5)
    text = written.text
    assert "fill_started" in text
    assert "size=5" in text
    assert "\x1b" not in text


def test_the_console_that_shows_colours_gets_them(written: Written) -> None:
    configure_log("info", "console", written, coloured=True)
    log.info("fill_started", path="\udcff")
    assert "\x1b[" in written.text


def test_what_libraries_log_becomes_lines_of_the_same_form(written: Written) -> None:
    configure_log("info", "json", written)
    logging.getLogger("asyncio").error("Task %s was destroyed", "x")
    logging.getLogger("asyncio").info("chatter")
    (line,) = written.lines
    assert (line["event"], line["level"], line["logger"]) == ("library", "error", "asyncio")
    assert line["message"] == "Task x was destroyed"
