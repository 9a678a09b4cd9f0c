from __future__ import annotations

from pathlib import Path

import pytest

from entrepot.config.forms import (
    check_collector,
    check_endpoint,
    check_host,
    check_pattern,
    check_program,
    check_proxy,
    check_syslog,
    check_token,
    check_upstream_name,
    check_webhook,
    hide_userinfo,
    parse_listen,
    resolve_file,
    resolve_folder,
)
from entrepot.config.secret import Secret

HERE = Path("/etc")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":5000", None, 5000),
        ("127.0.0.1:5000", "127.0.0.1", 5000),
        ("[::1]:5000", "::1", 5000),
        ("localhost:0", "localhost", 0),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ],
)
def test_an_address_to_listen_on_is_host_and_port(text: str, host: str | None, port: int) -> None:
    assert parse_listen(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["5000", "host", "::1:5000", ":65536", "a b:1", "http://x:1", "host:", "[]:1"]
)
def test_what_is_no_address_to_listen_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_listen(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://registry-1.docker.io", "https://registry-1.docker.io"),
        ("http://127.0.0.1:5001/", "http://127.0.0.1:5001"),
        ("https://harbor.example/proxy/", "https://harbor.example/proxy"),
        ("https://[::1]:5000", "https://[::1]:5000"),
    ],
)
def test_an_endpoint_is_kept_without_a_last_slash(text: str, kept: str) -> None:
    assert check_endpoint(text, HERE) == kept


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("registry.example", "a URL such as"),
        ("ftp://x", "a URL such as"),
        ("https://", "a URL such as"),
        ("https://x:99999", "a URL such as .*, the port from 1 to 65535"),
        ("https://x:0", "a URL such as .*, the port from 1 to 65535"),
        ("https://[x", "a URL such as"),
        ("https://a b", "a URL such as"),
        ("https://u:p@x", "username and password"),
        ("https://x?y", "without a query"),
        ("https://x#y", "without a query"),
        ("https://x/v2/", "without /v2"),
    ],
)
def test_what_is_no_endpoint_is_refused_with_the_reason(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        check_endpoint(text, HERE)


def test_a_proxy_may_have_a_user_but_no_path() -> None:
    assert check_proxy("http://u:p@proxy:3128", HERE) == "http://u:p@proxy:3128"
    with pytest.raises(ValueError, match="proxy"):
        check_proxy("http://proxy:3128/path", HERE)


@pytest.mark.parametrize(
    "name", ["docker.io", "localhost", "hub", "registry:5000", "127.0.0.1:5001", "[::1]:5000"]
)
def test_an_upstream_is_named_as_hosts_are(name: str) -> None:
    assert check_upstream_name(name, HERE) == name


@pytest.mark.parametrize("name", ["hub!", "Docker.io", "a/b.c", "registry:99999", "", ".io", "a..b"])
def test_a_name_that_no_host_could_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a"):
        check_upstream_name(name, HERE)


@pytest.mark.parametrize("name", ["index.docker.io", "registry-1.docker.io"])
def test_the_other_names_of_docker_hub_are_refused_for_docker_io(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected docker\.io"):
        check_upstream_name(name, HERE)


def test_a_hostname_needs_no_dot() -> None:
    assert check_host("cache", HERE) == "cache"
    with pytest.raises(ValueError, match="lower case"):
        check_host("https://cache", HERE)


@pytest.mark.parametrize("text", ["", "library/* ", "a b"])
def test_a_pattern_is_not_empty_and_holds_no_space(text: str) -> None:
    with pytest.raises(ValueError, match="expected a pattern"):
        check_pattern(text, HERE)


def test_a_file_is_looked_for_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    assert resolve_file("./ca.pem", tmp_path) == str(tmp_path / "ca.pem")
    with pytest.raises(ValueError, match=f"{tmp_path}/other.pem is none"):
        resolve_file("other.pem", tmp_path)
    with pytest.raises(ValueError, match="expected a file"):
        resolve_file(str(tmp_path), HERE)


def test_the_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_folder("~/cache", HERE) == str(tmp_path / "cache")


def test_the_home_of_a_stranger_is_refused() -> None:
    with pytest.raises(ValueError, match="known user"):
        resolve_folder("~nobody-of-this-name/x", HERE)


def test_a_link_is_not_followed_because_mounted_secrets_are_exchanged_by_it(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    (tmp_path / "current").symlink_to("old")
    assert resolve_file("current", tmp_path) == str(tmp_path / "current")


def test_a_program_is_found_by_name_or_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker-credential-test"
    program.touch(mode=0o755)
    assert check_program("./docker-credential-test", tmp_path) == str(program)
    with pytest.raises(ValueError, match="expected a program"):
        check_program("docker-credential-test", HERE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_program("docker-credential-test", HERE) == "docker-credential-test"


def test_user_and_password_in_a_url_are_hidden() -> None:
    assert hide_userinfo("http://u:p@ss@proxy:3128/a@b") == "http://********@proxy:3128/a@b"
    assert hide_userinfo("library/a@b") == "library/a@b"


@pytest.mark.parametrize("text", ["udp://log.example:514", "tcp://[::1]:601", "unix:///dev/log"])
def test_a_syslog_collector_is_a_host_with_a_port_or_a_socket(text: str) -> None:
    assert check_syslog(text, HERE) == text


@pytest.mark.parametrize(
    "text",
    [
        "log.example:514",
        "udp://log.example",
        "tcp://:1",
        "udp://log:514/x",
        "unix://log",
        "udp://[",
        "http://log:1",
        "udp://log..example:514",
        f"tcp://{'l' * 64}:514",
    ],
)
def test_what_is_no_syslog_collector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected udp://HOST:PORT"):
        check_syslog(text, HERE)


def test_a_collector_of_traces_has_no_user() -> None:
    assert check_collector("http://collector.example:4318", HERE) == "http://collector.example:4318"
    with pytest.raises(ValueError, match="expected a URL without user and password: none are sent"):
        check_collector("http://me:hunter2@collector.example:4318", HERE)
    with pytest.raises(ValueError, match="expected a URL such as http:"):
        check_collector("collector.example:4318", HERE)


def test_a_webhook_may_have_a_query_but_no_user() -> None:
    assert check_webhook("https://log.example/hook?key=1", HERE) == "https://log.example/hook?key=1"
    for text in ("https://u:p@log.example", "log.example", "ftp://log.example", "https://.example"):
        with pytest.raises(ValueError, match="expected a URL"):
            check_webhook(text, HERE)


def test_a_token_is_what_a_header_can_carry_and_a_complaint_does_not_show_it() -> None:
    assert check_token(Secret("s3cret+/="), HERE).reveal() == "s3cret+/="
    for text in ("", "s3cret\n", "s3 cret", "s\u00e9cret", "s\u732bcret"):
        with pytest.raises(ValueError, match="expected a token of visible ASCII") as complaint:
            check_token(Secret(text), HERE)
        assert "cret" not in str(complaint.value)
