"""The whole command on real folders, ports and registries, each of which can be wrong in its way."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from entrepot.cli.main import main
from entrepot.storage.lock import FolderLock
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.ports import free_port
from entrepot.testing.registry_auth import BasicAuth
from entrepot.testing.registry_routes import Behaviour

Doctor = Callable[..., Result]
Findings = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    def doctor(*arguments: str, upstreams: dict[str, Any] | None = None, **settings: Any) -> Result:
        (tmp_path / "entrepot.yaml").write_text(
            json.dumps(
                {
                    "listen": f"127.0.0.1:{free_port()}",
                    "data": str(tmp_path / "data"),
                    "upstreams": upstreams or {"a.test": {"endpoints": ["http://127.0.0.1:9"]}},
                    **settings,
                }
            )
        )
        return CliRunner().invoke(main, ["doctor", "--config", str(tmp_path / "entrepot.yaml"), *arguments])

    return doctor


@pytest.fixture
def found(doctor: Doctor) -> Findings:
    """Examine; return what is found of one check."""

    def found(check: str, *arguments: str, **settings: Any) -> list[dict[str, Any]]:
        result = doctor("--json", *arguments, **settings)
        findings = [json.loads(line) for line in result.stdout.splitlines()]
        has_problem = any(finding["verdict"] == "problem" for finding in findings)
        assert (result.exit_code, result.stderr) == (int(has_problem), "")
        return [finding for finding in findings if finding["check"] == check]

    return found


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry.in_thread(auth=BasicAuth({"me": "secret"})) as registry:
        yield registry


class _Stranger(BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.fixture
def stranger() -> Iterator[str]:
    """Another program on a port: HOST:PORT."""
    with TCPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_place_where_all_is_well_is_told_and_left_as_it_was(doctor: Doctor, tmp_path: Path) -> None:
    result = doctor("--offline", cache={"min_free": 0})
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"data folder: {tmp_path / 'data'} will be made at the first start\n" in result.stdout
    assert result.stdout.endswith(" warnings\n")
    assert [path.name for path in tmp_path.iterdir()] == ["entrepot.yaml"]


def test_every_fault_of_the_configuration_is_a_problem(found: Findings) -> None:
    faults = found("configuration", listn=":1", cache={"max_size": "lots"})
    assert [fault["verdict"] for fault in faults] == ["problem", "problem"]
    assert {"listn" in fault["found"] for fault in faults} == {True, False}


def test_a_folder_that_is_a_file_is_a_problem(found: Findings, tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    (finding,) = found("data folder", "--offline")
    assert (finding["verdict"], finding["found"]) == ("problem", f"{tmp_path / 'data'} is no folder")


def test_a_folder_that_may_not_be_written_is_a_problem_unless_it_holds_a_cache(
    found: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != folder)  # Root may write anywhere.
    assert [finding["verdict"] for finding in found("data folder", "--offline")] == ["problem"]
    folder.chmod(stat.S_IRWXU)
    (folder / "entrepot.db").touch()
    assert [finding["verdict"] for finding in found("data folder", "--offline")] == ["warning"]


def test_a_folder_that_another_user_has_served_is_a_problem(
    found: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    FolderLock(folder).release()
    (folder / "entrepot.db").touch()
    (folder / "spool").mkdir()
    (folder / "blobs" / "sha256" / "4c").mkdir(parents=True)
    for closed in ("entrepot.lock", "entrepot.db", "spool", "blobs/sha256", "blobs/sha256/4c"):
        # Root may open all.
        monkeypatch.setattr(os, "access", lambda path, _mode, closed=folder / closed: Path(path) != closed)
        (finding,) = found("data folder", "--offline")
        told = finding["found"].startswith(f"{folder / closed} may not be used by ")
        assert (told, finding["verdict"]) == (True, "problem")
        assert f"chown -R USER {folder}" in finding["advice"]


def test_a_folder_that_may_not_be_looked_at_is_a_problem(
    found: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, stat_of = tmp_path / "data", os.stat

    def refuse(path: Any, **arguments: Any) -> os.stat_result:  # As it is for others than root.
        if isinstance(path, Path) and folder in (path, *path.parents):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat_of(path, **arguments)

    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) not in {tmp_path, folder})
    (finding,) = found("data folder", "--offline")
    assert (finding["verdict"], f"make {folder} for" in finding["advice"]) == ("problem", True)


def test_the_process_that_holds_the_folder_is_named(found: Findings, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lock = FolderLock(tmp_path / "data")
    _, holder = found("data folder", "--offline")
    assert (holder["verdict"], f"held by process {os.getpid()}: " in holder["found"]) == ("ok", True)
    (cache,) = found("cache", "--offline")
    assert cache["verdict"] == "warning"
    lock.release()


def test_a_port_that_another_program_has_is_a_problem(found: Findings, stranger: str) -> None:
    (finding,) = found("port", "--offline", listen=stranger)
    assert finding["found"] == f"{stranger} is in use, and not by a cache that answers"
    assert "ss -ltnp" in finding["advice"]


def test_an_address_of_another_machine_is_a_problem(found: Findings) -> None:
    (finding,) = found("port", "--offline", listen="192.0.2.1:5000")
    assert finding["verdict"] == "problem"


@pytest.mark.parametrize(
    ("settings", "told", "advice"),
    [
        ({"endpoints": ["http://registry.invalid"]}, "does not resolve", "check its spelling and the DNS"),
        ({"endpoints": ["http://127.0.0.1:9"]}, "accepts no connections", "check that it runs there"),
        (
            {"endpoints": ["http://registry.invalid"], "proxy": "http://127.0.0.1:9"},
            "the proxy on the way",
            "check that",
        ),
    ],
)
def test_why_an_upstream_is_not_reached_is_told_apart(
    found: Findings, settings: dict[str, Any], told: str, advice: str
) -> None:
    (finding,) = found("upstream a.test", upstreams={"a.test": settings})
    assert (finding["verdict"], told in finding["found"], advice in finding["advice"]) == (
        "problem",
        True,
        True,
    )


def test_https_where_none_is_spoken_is_told(found: Findings, stranger: str) -> None:
    (finding,) = found("upstream a.test", upstreams={"a.test": {"endpoints": [f"https://{stranger}"]}})
    assert (finding["verdict"], "TLS with" in finding["found"]) == ("problem", True)
    assert "is it an http:// endpoint?" in finding["advice"]


@pytest.mark.parametrize(
    ("password", "verdict", "part"),
    [("secret", "ok", "takes the credential"), ("wrong", "problem", "was refused (401)")],
)
def test_a_credential_is_tried(
    found: Findings, registry: FakeRegistry, password: str, verdict: str, part: str
) -> None:
    upstream = {"endpoints": [registry.url], "username": "me", "password": password}
    (finding,) = found("upstream a.test", upstreams={"a.test": upstream})
    assert (finding["verdict"], part in finding["found"]) == (verdict, True)


def test_a_clock_that_is_wrong_is_a_problem(found: Findings) -> None:
    dated = Behaviour(headers={"Date": "Tue, 05 Jan 2021 11:00:00 GMT"})
    with FakeRegistry.in_thread(behaviour=dated) as registry:
        (finding,) = found("clock", upstreams={"a.test": {"endpoints": [registry.url]}})
    assert (finding["verdict"], "ahead of that of the upstreams" in finding["found"]) == ("problem", True)
