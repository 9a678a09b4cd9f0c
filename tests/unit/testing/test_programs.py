from __future__ import annotations

import sys
from pathlib import Path

import pytest

from entrepot.testing.programs import Program, run

SLEEPER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]


def test_a_program_runs_inside_its_context_and_is_gone_outside(tmp_path: Path) -> None:
    program = Program(SLEEPER, tmp_path / "log")
    with program:
        assert program.running
    assert not program.running


def test_a_program_is_started_when_it_is_ready(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Program(SLEEPER, log, ready=lambda: "here" in log.read_text()) as program:
        assert program.tail() == "here\n"


def test_a_program_that_ends_while_starting_is_a_failure_that_shows_its_words(tmp_path: Path) -> None:
    program = Program(
        [sys.executable, "-c", "raise SystemExit('no such port')"], tmp_path / "log", ready=bool
    )
    with pytest.raises(RuntimeError, match="no such port"):
        program.start()


def test_a_program_can_be_started_again_after_it_was_killed(tmp_path: Path) -> None:
    with Program(SLEEPER, tmp_path / "log") as program:
        first = program.pid
        program.kill()
        program.start()
        assert program.running
        assert program.pid != first


def test_a_run_returns_what_was_printed_and_fails_with_both_outputs() -> None:
    assert run(sys.executable, "-c", "print('out')") == "out\n"
    with pytest.raises(RuntimeError, match=r"exited with 3:\nout\nerr"):
        run(
            sys.executable, "-c", "import sys; print('out', flush=True); sys.stderr.write('err'); sys.exit(3)"
        )
