from __future__ import annotations

import errno
import json
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from entrepot.cli.api_client import ApiClient, ApiFailed, connect
from entrepot.cli.main import main

Connect = Callable[..., ApiClient]


@pytest.fixture
def configured(tmp_path: Path) -> Connect:
    def configured(**settings: Any) -> ApiClient:
        (tmp_path / "token").write_text("a token that cannot be guessed\n")
        file = tmp_path / "entrepot.yaml"
        file.write_text(json.dumps({"admin": {"token_file": "token"}, **settings}))
        return connect(file, None, None, None)

    return configured


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        (":5000", "http://127.0.0.1:5000"),
        ("0.0.0.0:5000", "http://127.0.0.1:5000"),
        ("[::]:5000", "http://127.0.0.1:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("cache.example:80", "http://cache.example:80"),
    ],
)
def test_the_cache_that_is_configured_is_called_where_it_listens(
    configured: Connect, listen: str, url: str
) -> None:
    assert configured(listen=listen)._url.geturl() == url


def test_how_a_cache_is_named_is_told_in_terms_that_commands_take(tmp_path: Path) -> None:
    result = CliRunner(env={"ENTREPOT_DATA": str(tmp_path)}).invoke(main, ["status"])
    assert (result.exit_code, result.stdout) == (2, "")
    advised = set(re.findall(r"--[a-z-]+", result.stderr))
    assert advised == {"--config", "--url", "--token-file"}
    assert "ENTREPOT_DATA" in result.stderr


def test_the_token_is_read_from_where_it_was_made(tmp_path: Path) -> None:
    file = tmp_path / "entrepot.yaml"
    file.write_text(json.dumps({"data": "."}))
    with pytest.raises(
        ApiFailed, match=rf"no cache in {tmp_path}; name the folder of the cache with ENTREPOT_DATA"
    ):
        connect(file, None, None, None)
    (tmp_path / "entrepot.db").touch()
    with pytest.raises(ApiFailed, match=r"admin-token cannot be read: No such file.*; see --token-file"):
        connect(file, None, None, None)
    (tmp_path / "admin-token").write_text("made\n")
    assert connect(file, None, None, None)._token.split() == ["made"]


@pytest.mark.parametrize("content", ["secret\nand more", "sécret", "secret\0"])
def test_what_can_be_no_token_is_neither_sent_nor_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ApiFailed, match=rf"^{file} holds no token; see --token-file$"):
        connect(None, "http://127.0.0.1:5000", file, None)


@pytest.mark.parametrize(
    ("url", "is_sent"),
    [
        ("http://127.0.0.1:5000", True),
        ("http://localhost:5000", True),
        ("https://[::1]", True),
        ("https://cache.example", False),
        ("http://localhost.example", False),
        ("http://10.0.0.7:5000", False),
    ],
)
def test_the_token_of_the_data_folder_goes_to_this_machine_alone(
    tmp_path: Path, url: str, *, is_sent: bool
) -> None:
    file = tmp_path / "entrepot.yaml"
    file.write_text(json.dumps({"data": "."}))
    for name in ("entrepot.db", "admin-token"):
        (tmp_path / name).write_text("made")
    if is_sent:
        assert connect(file, url, None, None)._token.split() == ["made"]
        return
    with pytest.raises(ApiFailed, match=r"on another machine: name the token .* --token-file"):
        connect(file, url, None, None)
    (tmp_path / "theirs").write_text("theirs")
    assert connect(file, url, tmp_path / "theirs", None)._token.split() == ["theirs"]


@pytest.mark.parametrize("url", ["cache.example:5000", "ftp://cache.example", "http://", ""])
def test_what_is_no_url_is_refused(tmp_path: Path, url: str) -> None:
    (tmp_path / "token").write_text("any")
    with pytest.raises(ApiFailed, match="expected a URL such as"):
        connect(None, url, tmp_path / "token", None)


def test_a_file_of_authorities_that_holds_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("any")
    with pytest.raises(ApiFailed, match="token is no PEM file of certificates"):
        connect(None, "https://cache.example", tmp_path / "token", tmp_path / "token")


def test_one_that_is_patient_waits_for_an_answer_that_others_give_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # It accepts, and never answers.
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        hasty = ApiClient(url, "token", within=0.01)
        with pytest.raises(ApiFailed, match="timed out"):
            hasty.call("GET", "/cache")
        answering = threading.Thread(target=_answer_last, args=(listening,))
        answering.start()
        assert hasty.patient(30).call("GET", "/cache") == {}
        answering.join(10)


def _answer_last(listening: socket.socket) -> None:
    """Answer who came last: who came before has given up."""
    for content in (b"", b"{}"):
        connection, _ = listening.accept()
        with connection:
            connection.recv(1 << 16)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            if content:
                connection.sendall(head % len(content) + content)


def test_a_folder_that_may_not_be_looked_at_is_told(
    configured: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exists(path: Path) -> bool:  # As it is for others than root.
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", exists)
    with pytest.raises(ApiFailed, match=r"may not be looked at: be its owner; .*--token-file"):
        configured(admin={}, data=str(tmp_path))


def test_a_file_that_holds_no_token_is_named(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    with pytest.raises(ApiFailed, match=rf"{tmp_path}/token holds no token; see --token-file"):
        connect(None, "http://127.0.0.1:5000", tmp_path / "token", None)


@pytest.mark.parametrize(
    ("scheme", "answer", "doubt"),
    [
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "does it speak http:// there, without TLS?"),
        ("http", b"", "was it stopped meanwhile, or does it speak https:// there?"),
    ],
)
def test_tls_that_is_spoken_on_one_side_alone_is_told(scheme: str, answer: bytes, doubt: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=_answer_once, args=(listening, answer))
        answering.start()
        url = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ApiFailed) as failed:
            ApiClient(url, "token", within=30).call("GET", "/cache")
        answering.join(10)
    assert f"; {doubt} See --url" in failed.value.message


def _answer_once(listening: socket.socket, answer: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(answer)
