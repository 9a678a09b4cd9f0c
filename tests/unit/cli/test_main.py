from __future__ import annotations

import gc
import subprocess
import sys
from importlib.metadata import version

import pytest
from click.testing import CliRunner

from entrepot.cli.main import main
from entrepot.errors import DiskFull, EntrepotError, SettingsInvalid, StoreFailed

HEAVY = ("aiohttp", "sqlalchemy", "uvloop", "yaml", "msgspec")


def test_a_misspelt_command_is_told_with_what_was_likely_meant() -> None:
    result = CliRunner().invoke(main, ["statsu"])
    assert result.exit_code == 2
    assert "No such command 'statsu'; did you mean status?" in result.stderr


def test_it_tells_its_version() -> None:
    result = CliRunner().invoke(main, ["--version"], prog_name="entrepot")
    assert (result.exit_code, result.output) == (0, f"entrepot {version('entrepot')}\n")


def test_help_lists_every_command() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    assert all(command in output for command in ("serve", "config", "client-config"))


def test_commands_that_call_a_cache_wait_for_little() -> None:
    commands = ("status", "images", "inspect", "fills", "purge", "pin", "jobs", "audit", "warm")
    heavy = ("aiohttp", "sqlalchemy", "asyncio", "litestar", "structlog", "rich.console")
    script = f"import sys, importlib; [importlib.import_module(f'entrepot.cli.{{name}}') for name in {commands}]; print(*[x for x in {heavy} if x in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, timeout=60
    ).stdout
    assert output.strip() == b""


@pytest.mark.parametrize("arguments", [["serf"], ["serve", "--lisn"], ["config"], ["config", "shoe"], []])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("failure", "exit_code", "told"),
    [
        (
            SettingsInvalid("x.yaml:1: a: wrong\nx.yaml:2: b: wrong"),
            2,
            "x.yaml:1: a: wrong\nx.yaml:2: b: wrong\n",
        ),
        (DiskFull("no room in /data"), 1, "entrepot: no room in /data\n"),
        (StoreFailed("/data is in use by process 7"), 1, "entrepot: /data is in use by process 7\n"),
        (EntrepotError("listen: cannot serve on :80"), 1, "entrepot: listen: cannot serve on :80\n"),
        (OSError(98, "Address already in use"), 1, "entrepot: [Errno 98] Address already in use\n"),
        (FileNotFoundError(2, "No"), 1, "entrepot: the working folder is there no more: change to another\n"),
    ],
)
def test_a_failure_is_told_without_a_traceback(failure: Exception, exit_code: int, told: str) -> None:
    def fail(*_: object) -> int:
        raise failure

    result = CliRunner().invoke(main, ["serve"], obj=fail)
    assert (result.exit_code, result.stderr, result.stdout) == (exit_code, told, "")


def test_garbage_is_collected_once_a_command_is_imported() -> None:
    _ = CliRunner().invoke(main, ["serve", "--help"])
    assert gc.isenabled()


def test_the_package_runs_as_a_module() -> None:
    output = subprocess.run(
        [sys.executable, "-m", "entrepot", "--help"], capture_output=True, check=True, timeout=60
    ).stdout
    assert output.startswith(b"Usage: entrepot ")


def test_help_does_not_wait_for_what_it_does_not_need() -> None:
    script = f"import sys, entrepot.cli.main as m; m.main(['--help'], standalone_mode=False); print(*[x for x in {HEAVY} if x in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, timeout=60, text=True
    ).stdout
    assert output.splitlines()[-1] == ""
