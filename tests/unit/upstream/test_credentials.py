from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from entrepot.config.schema import UpstreamSettings
from entrepot.config.secret import Secret
from entrepot.errors import UpstreamDown
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.upstream.credentials import Credential, CredentialSource, credential_source

HUB_KEY = "https://index.docker.io/v1/"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def _source(
    clock: VirtualClock, name: str = "ghcr.io", host: str | None = None, **settings: Any
) -> CredentialSource:
    return credential_source(name, [host or name], UpstreamSettings(**settings), clock)


def _helper(path: Path, answers: dict[str, tuple[str, str]]) -> str:
    """Write a helper that knows ``answers`` and notes each time it is run."""
    document = {
        key: {"ServerURL": key, "Username": user, "Secret": secret} for key, (user, secret) in answers.items()
    }
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        "assert sys.argv[1:] == ['get']\n"
        "key = sys.stdin.read().strip()\n"
        f"open({str(path) + '.runs'!r}, 'a').write(key + '\\n')\n"
        f"answers = {document!r}\n"
        "if key not in answers:\n"
        "    sys.exit('credentials not found in native keychain' if print('credentials not found in native keychain') else 1)\n"
        "print(json.dumps(answers[key]))\n"
    )
    path.chmod(0o755)
    return str(path)


def _runs(helper: str) -> list[str]:
    return Path(f"{helper}.runs").read_text().split()


async def test_without_settings_one_asks_as_a_stranger(clock: VirtualClock) -> None:
    assert await _source(clock).current() is None


async def test_a_user_and_a_password_are_a_credential(clock: VirtualClock) -> None:
    credential = await _source(clock, username="u", password=Secret("p:w")).current()
    assert credential == Credential("u", Secret("p:w"))
    assert credential.basic() == "Basic " + base64.b64encode(b"u:p:w").decode()
    assert "p:w" not in repr(credential)


async def test_a_password_file_is_read_anew_when_it_changes(clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    source = _source(clock, username="u", password_file=str(file))
    assert await source.current() == Credential("u", Secret("first"))
    file.write_text("second")
    assert await source.current() == Credential("u", Secret("second"))
    file.unlink()
    with pytest.raises(UpstreamDown, match="password_file"):
        await source.current()


@pytest.mark.parametrize(
    ("name", "host", "key"),
    [
        ("ghcr.io", "ghcr.io", "ghcr.io"),
        ("ours", "1.dkr.ecr.eu-west-1.amazonaws.com", "1.dkr.ecr.eu-west-1.amazonaws.com"),
        ("docker.io", "registry-1.docker.io", HUB_KEY),
        ("docker.io", "mirror.test:5000", HUB_KEY),
    ],
)
async def test_a_helper_is_asked_by_the_name_it_knows(
    clock: VirtualClock, tmp_path: Path, name: str, host: str, key: str
) -> None:
    helper = _helper(tmp_path / "docker-credential-test", {key: ("u", "p")})
    assert await _source(clock, name, host, credential_helper=helper).current() == Credential(
        "u", Secret("p")
    )


async def test_a_helper_is_believed_for_five_minutes(clock: VirtualClock, tmp_path: Path) -> None:
    helper = _helper(tmp_path / "helper", {"ghcr.io": ("<token>", "refresh")})
    source = _source(clock, credential_helper=helper)
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(source.current())
    assert _runs(helper) == ["ghcr.io"]
    clock.advance(301)
    credential = await source.current()
    assert credential is not None
    assert credential.is_identity_token
    assert len(_runs(helper)) == 2


async def test_a_helper_that_knows_nothing_leaves_a_stranger(clock: VirtualClock, tmp_path: Path) -> None:
    assert await _source(clock, credential_helper=_helper(tmp_path / "helper", {})).current() is None


@pytest.mark.parametrize("script", ["exit 3", "echo nonsense", "echo '{}'", "echo broken; exit 1"])
async def test_a_helper_that_fails_is_a_failure(clock: VirtualClock, tmp_path: Path, script: str) -> None:
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    helper.chmod(0o755)
    with pytest.raises(UpstreamDown, match="helper get"):
        await _source(clock, credential_helper=str(helper)).current()


async def test_a_helper_that_is_missing_is_a_failure(clock: VirtualClock, tmp_path: Path) -> None:
    with pytest.raises(UpstreamDown, match="cannot be run"):
        await _source(clock, credential_helper=str(tmp_path / "absent")).current()


def _pair(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("name", "host", "auths", "expected"),
    [
        ("ghcr.io", "ghcr.io", {"ghcr.io": _pair("u", "p:q")}, Credential("u", Secret("p:q"))),
        ("ghcr.io", "ghcr.io", {"https://ghcr.io/v2/": _pair("u", "p")}, Credential("u", Secret("p"))),
        ("ghcr.io", "ghcr.io", {"ghcr.io": {"username": "u", "password": "p"}}, Credential("u", Secret("p"))),
        ("ghcr.io", "ghcr.io", {"quay.io": _pair("u", "p")}, None),
        ("ghcr.io", "ghcr.io", {"ghcr.io": {}}, None),
        ("ghcr.io", "ghcr.io", {"ghcr.io": {"auth": "***"}}, None),
        ("docker.io", "registry-1.docker.io", {HUB_KEY: _pair("u", "p")}, Credential("u", Secret("p"))),
        ("ours", "a.test:5000", {"a.test:5000": _pair("u", "p")}, Credential("u", Secret("p"))),
        ("ours", "a.test:5000", {"a.test": _pair("u", "p")}, None),
        (
            "ghcr.io",
            "ghcr.io",
            {"ghcr.io": {**_pair("<token>", ""), "identitytoken": "refresh"}},
            Credential("<token>", Secret("refresh"), is_identity_token=True),
        ),
    ],
)
async def test_dockers_own_credentials_are_found(
    tmp_path: Path, name: str, host: str, auths: dict[str, Any], *, expected: Credential | None
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": auths, "HttpHeaders": {}}))
    assert await _source(VirtualClock(), name, host, docker_config=str(config)).current() == expected


async def test_dockers_helper_for_the_registry_goes_first(
    clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _helper(tmp_path / "docker-credential-one", {"ghcr.io": ("one", "1")})
    _helper(tmp_path / "docker-credential-all", {"ghcr.io": ("all", "2"), "quay.io": ("all", "2")})
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    config = tmp_path / "config.json"
    written = {"credHelpers": {"ghcr.io": "one"}, "credsStore": "all", "auths": {"lscr.io": _pair("u", "p")}}
    config.write_text(json.dumps(written))
    found = [
        await _source(clock, name, docker_config=str(config)).current()
        for name in ("ghcr.io", "quay.io", "lscr.io")
    ]
    assert [credential and credential.username for credential in found] == ["one", "all", "u"]


@pytest.mark.parametrize("content", ["", "[]", '{"auths":[]}', "\x00"])
async def test_a_docker_config_that_cannot_be_read_is_a_failure(
    clock: VirtualClock, tmp_path: Path, content: str
) -> None:
    config = tmp_path / "config.json"
    config.write_text(content)
    with pytest.raises(UpstreamDown, match="docker_config"):
        await _source(clock, docker_config=str(config)).current()
