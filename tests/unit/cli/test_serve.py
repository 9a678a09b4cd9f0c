from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from entrepot.cli.main import main
from entrepot.config.schema import DEFAULT_UPSTREAMS, Settings
from entrepot.errors import SettingsInvalid


class Application:
    """Stands in for the real one: keeps what it was started with."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.reload: Callable[[], Settings] = Settings
        self.exit_code = 0

    def __call__(self, settings: Settings, reload: Callable[[], Settings]) -> int:
        self.settings, self.reload = settings, reload
        return self.exit_code


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def serve(application: Application) -> Callable[..., Result]:
    def serve(*arguments: str, **environ: str) -> Result:
        return CliRunner(env=environ).invoke(main, ["serve", *arguments], obj=application)

    return serve


def test_without_options_the_defaults_are_served(
    application: Application, serve: Callable[..., Result]
) -> None:
    application.settings = Settings(listen=":1")
    assert serve().exit_code == 0
    assert application.settings == Settings()


def test_options_become_settings(
    application: Application, serve: Callable[..., Result], tmp_path: Path
) -> None:
    result = serve("--listen", "127.0.0.1:0", "--data", str(tmp_path), "--log-level", "debug")
    assert result.exit_code == 0, result.output
    settings = application.settings
    assert (settings.listen, settings.data, settings.log.level) == ("127.0.0.1:0", str(tmp_path), "debug")


def test_upstreams_are_added_to_the_built_in_ones(
    application: Application, serve: Callable[..., Result]
) -> None:
    serve("--upstream", "127.0.0.1:5001=http://127.0.0.1:5001,http://b", "--upstream", "a.example")
    upstreams = application.settings.upstreams
    assert len(upstreams) == len(DEFAULT_UPSTREAMS) + 2
    assert upstreams["127.0.0.1:5001"].endpoints == ("http://127.0.0.1:5001", "http://b")
    assert upstreams["a.example"].endpoints == ("https://a.example",)


def test_the_file_may_be_named_by_a_variable(
    application: Application, serve: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "entrepot.yaml").write_text("listen: :7")
    assert serve(ENTREPOT_CONFIG=str(tmp_path / "entrepot.yaml")).exit_code == 0
    assert application.settings.listen == ":7"


def test_a_reload_reads_the_same_sources_again(
    application: Application, serve: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "entrepot.yaml"
    file.write_text("default_upstream: quay.io")
    serve("--config", str(file), "--listen", ":7")
    file.write_text("default_upstream: ghcr.io")
    settings = application.reload()
    assert (settings.listen, settings.default_upstream) == (":7", "ghcr.io")


def test_a_reload_of_a_wrong_file_is_refused(
    application: Application, serve: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "entrepot.yaml"
    file.write_text("")
    serve("--config", str(file))
    file.write_text("listen: nowhere")
    with pytest.raises(SettingsInvalid, match=r"entrepot\.yaml:1: listen"):
        application.reload()


def test_the_exit_code_is_that_of_the_application(
    application: Application, serve: Callable[..., Result]
) -> None:
    application.exit_code = 1
    assert serve().exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--listen", "nowhere"], "command line: listen: expected HOST:PORT"),
        (["--upstream", "=http://a"], "begins with no name"),
        (
            ["--upstream", "a.example="],
            "'a.example=' ends without a URL: say a.example alone",
        ),
        (["--upstream", "a.io=http://a", "--upstream", "a.io=http://b"], "a.io is given twice"),
        (
            ["--upstream", "a.example=nowhere"],
            "command line: upstreams.a.example.endpoints[0]: expected a URL",
        ),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml: cannot be read: No such file or directory"),
        (["--log-level", "loud"], "Invalid value for '--log-level'"),
    ],
)
def test_wrong_options_are_told_and_exit_with_2(
    serve: Callable[..., Result], arguments: list[str], told: str
) -> None:
    result = serve(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr


# What only later work needs: of upstreams, of the admin API, of an older database.
LATER = {"aiohttp", "yarl", "litestar", "alembic", "mako"}
MOST_MODULES = 800  # There are 742: what brings many more should be worth its share of every start.


def test_a_start_imports_nothing_that_only_later_work_needs(tmp_path: Path) -> None:
    """So says the program itself, on a folder that is new, at the moment when it listens."""
    script = """
import os, signal, sys
from entrepot import app
from entrepot.cli.main import main

async def tell():
    print(*sys.modules)
    os.kill(os.getpid(), signal.SIGTERM)

app.load_transport, app._FIRST_SECONDS = tell, 0
main(["serve", "--listen", "127.0.0.1:0", "--data", sys.argv[1]])
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True).stdout.split()
    assert LATER & set(told) == set()
    assert "entrepot" in told
    assert len(told) <= MOST_MODULES
