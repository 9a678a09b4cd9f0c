"""What holds for every command: failures in one line, whole names in pipes, quiet ends, completion."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from tests.e2e.commands.conftest import Desk

from entrepot.cli.main import main
from entrepot.testing.programs import run
from entrepot.testing.registry_wire import Fault

Background = Callable[[subprocess.Popen[bytes]], subprocess.Popen[bytes]]
LOOKS = (
    ("status",),
    ("upstreams",),
    ("images",),
    ("tags", "app"),
    ("inspect", "app"),
    ("fills",),
    ("events",),
    ("audit",),
)
LONG = "/".join(["a-very-long-part-of-a-name"] * 7)


@pytest.mark.parametrize("arguments", [*LOOKS, ("refresh", "app"), ("purge", "app")])
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_no_cache_at_the_url_is_told_in_one_line(
    desk: Desk, arguments: tuple[str, ...], as_json: tuple[str, ...]
) -> None:
    result = desk.run(*arguments, *as_json, "--url", "http://127.0.0.1:9")
    assert (result.exit_code, result.stdout) == (2, "")
    expected = "Error: http://127.0.0.1:9 cannot be called: Connection refused; does the cache run there? See --url\n"
    assert result.stderr == expected


@pytest.mark.parametrize("arguments", [("images",), ("status", "--json")])
def test_a_wrong_token_is_told_in_one_line(desk: Desk, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "token").write_text("wrong")
    result = desk.run(*arguments, "--token-file", str(tmp_path / "token"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: this token is not known here; see --token-file\n"


def test_what_is_no_cache_is_told(desk: Desk) -> None:
    result = desk.run("images", "--url", desk.registry.url)
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        "is not that of the admin API: is that the URL of a cache, and is admin.enabled on there?"
        in result.stderr
    )


def test_a_remote_cache_may_be_named_by_the_environment(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").touch()
    environ = {
        "ENTREPOT_CONFIG": str(tmp_path / "empty.yaml"),
        "ENTREPOT_URL": desk.cache.url,
        "ENTREPOT_TOKEN_FILE": str(desk.cache.data / "admin-token"),
    }
    assert desk.run("upstreams", **environ).exit_code == 0


def test_names_are_whole_in_pipes_and_on_terminals(desk: Desk, background: Background) -> None:
    desk.pulled(LONG)
    lines = desk.lines("images", "--search", LONG)
    assert lines[1].split()[0] == f"docker.io/{LONG}"
    terminal, end = os.openpty()
    process = background(desk.start("images", "--search", LONG, stdout=end, stderr=subprocess.PIPE))
    os.close(end)
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # How Linux tells that the other end of a terminal is closed.
        pass
    os.close(terminal)
    assert process.wait(60) == 0
    assert b"\x1b[1mREPOSITORY" in shown
    folded = re.sub(rb"\x1b\[[0-9;]*m", b"", shown).decode().splitlines()[1:]
    assert "".join(line.split()[0] for line in folded) == f"docker.io/{LONG}"


@pytest.mark.parametrize(
    ("command", "status"),
    [("jobs >&-", 0), ("images 2>&-", 0), ("warm --file - <&-", 2), ("purge app <&- >&- 2>&-", 1)],
)
def test_closed_standard_streams_are_as_good_as_empty_ones(desk: Desk, command: str, status: int) -> None:
    script = f"{sys.executable} -m entrepot {command}; test $? -eq {status}"
    run("sh", "-c", script, environment={"ENTREPOT_CONFIG": str(desk.cache.config)})


def test_an_output_that_is_closed_early_ends_the_command_quietly(desk: Desk, background: Background) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = background(desk.start("events", stdout=writer, stderr=subprocess.PIPE))
    os.close(writer)
    _, told = process.communicate(timeout=60)
    assert told == b""


@pytest.mark.parametrize("arguments", [("events", "--follow"), ("audit", "--follow"), ("fills", "--watch")])
def test_what_follows_ends_with_ctrl_c_without_a_traceback(
    desk: Desk, background: Background, arguments: tuple[str, ...]
) -> None:
    process = background(desk.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    told = process.stdout.read()
    assert process.wait(60) == 130
    assert b"Traceback" not in told


def test_fills_are_watched_with_bars_on_a_terminal(desk: Desk, background: Background) -> None:
    hold = asyncio.Event()

    async def let_go() -> None:
        hold.set()

    image = desk.registry.content.add_image("library/watched-fill", "1", layers=[bytes(2_000_000)])
    desk.registry.misbehave("blob", Fault(hang_after=500_000, hold=hold), containing=str(image.layers[0]))
    desk.run("warm", "watched-fill:1", "--detach")
    terminal, end = os.openpty()
    process = background(desk.start("fills", "--watch", stdout=end, stderr=end))
    os.close(end)
    shown = b""
    while b"0.5/2.0 MB" not in shown:
        shown += os.read(terminal, 4096)
    assert f"docker.io/library/watched-fill {image.layers[0].hex[:8]}".encode() in shown
    process.send_signal(signal.SIGINT)
    desk.registry.from_thread(let_go())
    desk.registry.behave()
    assert process.wait(60) == 130
    os.close(terminal)


def test_what_comes_is_followed(desk: Desk, background: Background) -> None:
    process = background(
        desk.start("audit", "--follow", "--upstream", "docker.io", "--limit", "1", stdout=subprocess.PIPE)
    )
    assert process.stdout is not None
    desk.pulled("library/before")
    process.stdout.readline()
    desk.registry.content.add_image("library/after", "1")
    assert desk.pull("library/after/manifests/1") == 200
    while b"library/after/manifests/1 200 miss" not in process.stdout.readline():
        assert process.poll() is None


def test_following_the_audit_log_does_not_show_its_own_looks(desk: Desk, background: Background) -> None:
    desk.lines("images")
    follow = ("audit", "--event", "any", "--follow", "--limit", "1")
    process = background(desk.start(*follow, stdout=subprocess.PIPE))
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    for name in ("first", "second"):
        assert desk.pull(f"library/followed-{name}/manifests/1") == 404
        while f"library/followed-{name}/".encode() not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1]
    assert [line for line in lines[1:] if b"/api/v1/audit " in line] == []
    assert min(line.split()[0] for line in lines) == lines[0].split()[0]


@pytest.mark.parametrize(
    ("arguments", "incomplete", "offered"),
    [
        ([], "ima", ["images"]),
        (["images"], "--se", ["--search"]),
        (["images"], "q", ["quay.test"]),
        (["upstreams"], "docker", ["docker.io"]),
        (["tags"], "docker.io/complete/", ["docker.io/complete/one", "docker.io/complete/two"]),
        (["inspect"], "docker.io/complete/t", ["docker.io/complete/two"]),
        (["tags"], "complete/o", ["docker.io/complete/one"]),
        (["tags"], "tw", ["docker.io/complete/two"]),
        (["tags"], "docker.io/complete/one", ["docker.io/complete/one"]),
        (["tags", "--url", "http://127.0.0.1:9"], "docker.io/", []),
        (["tags", "--url", "nonsense"], "docker.io/", []),
    ],
)
def test_shells_are_offered_what_can_stand_there(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str], incomplete: str, offered: list[str]
) -> None:
    for name in ("complete/one", "complete/two"):
        desk.registry.content.add_image(name, "1")
        assert desk.pull(f"{name}/manifests/1") == 200
    monkeypatch.setenv("ENTREPOT_CONFIG", str(desk.cache.config))
    shell = BashComplete(main, {}, "entrepot", "_ENTREPOT_COMPLETE")
    assert [item.value for item in shell.get_completions(arguments, incomplete)] == offered


def test_bash_completes_by_what_the_program_gives_it(desk: Desk) -> None:
    script = """
        eval "$(_ENTREPOT_COMPLETE=bash_source entrepot)"
        COMP_WORDS=(entrepot upstreams q) COMP_CWORD=2
        _entrepot_completion entrepot
        echo "${COMPREPLY[@]}"
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = run("bash", "-c", script, environment={"PATH": path, "ENTREPOT_CONFIG": str(desk.cache.config)})
    assert told == "quay.test\n"


def test_a_warm_shows_a_bar_on_a_terminal(desk: Desk, background: Background) -> None:
    hold = asyncio.Event()

    async def let_go() -> None:
        hold.set()

    image = desk.registry.content.add_image("library/barred", "1", layers=[b"b" * 2_000_000])
    desk.registry.misbehave("blob", Fault(hang_after=500_000, hold=hold), containing=str(image.layers[0]))
    terminal, end = os.openpty()
    process = background(desk.start("warm", "barred:1", stdout=subprocess.PIPE, stderr=end))
    os.close(end)
    shown = b""
    while b"0 of 1 images" not in shown or b"0.5/2.0 MB" not in shown:
        shown += os.read(terminal, 4096)
    desk.registry.from_thread(let_go())
    told, _ = process.communicate(timeout=60)
    desk.registry.behave()
    os.close(terminal)
    assert (process.returncode, b"1 of 1 images are there" in told) == (0, True)
