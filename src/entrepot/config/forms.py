"""The form that a setting's text must have, beyond its type; each names in its error what is expected.

A form takes the value and the folder that relative paths start from, returns the value
as it is kept, and raises ``ValueError("expected ...")``.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from entrepot.config.secret import HIDDEN, Secret
from entrepot.config.units import Amount
from entrepot.oci.platform import parse_platform
from entrepot.policy.cron import check_cron
from entrepot.policy.proxies import parse_network
from entrepot.policy.retention import InvalidPin, Pin
from entrepot.policy.routing import DOCKER_HUB, DOCKER_HUB_ALIASES
from entrepot.policy.versions import parse_range

__all__ = [
    "check_collector",
    "check_cron_expression",
    "check_endpoint",
    "check_host",
    "check_listen",
    "check_network",
    "check_path_segment",
    "check_pattern",
    "check_pin",
    "check_platform",
    "check_positive",
    "check_program",
    "check_proxy",
    "check_regex",
    "check_syslog",
    "check_text",
    "check_token",
    "check_upstream_name",
    "check_versions",
    "check_webhook",
    "hide_userinfo",
    "parse_listen",
    "resolve_file",
    "resolve_folder",
]

N = TypeVar("N", float, Amount)

_PORTS = "the port from 1 to 65535"
_LONGEST_LABEL = 63
"""Of a host name, between its dots (RFC 1035, section 2.3.4)."""
_LABEL = r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?")


def parse_listen(text: str) -> tuple[str | None, int]:
    """Split ``HOST:PORT``; the host is ``None`` where the text is ``:PORT``: every address."""
    match = re.fullmatch(r"(\[[^\s\[\]]+\]|[^\s:/\[\]]*):([0-9]{1,5})", text)
    if match is None or int(match[2]) > 65535:
        raise ValueError("expected HOST:PORT, [IPV6]:PORT or :PORT, the port from 0 to 65535")
    return match[1].strip("[]") or None, int(match[2])


def check_listen(text: str, _folder: Path) -> str:
    parse_listen(text)
    return text


def check_text(text: str, _folder: Path) -> str:
    if not text:
        raise ValueError("expected some text")
    return text


def check_token(token: Secret, _folder: Path) -> Secret:
    """Take what a header can carry as it is."""
    if re.fullmatch(r"[!-~]+", token.reveal()) is None:
        raise ValueError("expected a token of visible ASCII characters, without a space or the end of a line")
    return token


def check_path_segment(text: str, _folder: Path) -> str:
    """Take what the admin API can name in a path, where a slash parts two names, encoded or not."""
    if not text or "/" in text or not text.isprintable():
        raise ValueError("expected a name without slashes, such as base images")
    return text


def check_pattern(text: str, _folder: Path) -> str:
    if not text or re.search(r"\s", text):
        raise ValueError("expected a pattern such as library/* or v*.*.*")
    return text


def check_regex(text: str, _folder: Path) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {error}") from error
    return text


def check_versions(text: str, _folder: Path) -> str:
    parse_range(text)
    return text


def check_platform(text: str, _folder: Path) -> str:
    parse_platform(text)
    return text


def check_cron_expression(text: str, _folder: Path) -> str:
    check_cron(text)
    return text


def check_pin(text: str, _folder: Path) -> str:
    try:
        return str(Pin.parse(text))
    except InvalidPin as error:
        raise ValueError("expected a pattern such as library/* or library/postgres:16*") from error


def check_network(text: str, _folder: Path) -> str:
    try:
        return str(parse_network(text))
    except ValueError as error:
        raise ValueError("expected an address or a network such as 10.0.0.0/8") from error


def check_positive(value: N, _folder: Path) -> N:
    """Take all but zero: what is less is no size, duration or share to begin with."""
    if not value:
        raise ValueError("expected more than zero")
    return value


def check_host(text: str, _folder: Path) -> str:
    match = _HOST.fullmatch(text)
    expected = "expected a host in lower case, with or without a port, such as cache.example:5000"
    if match is None:
        raise ValueError(expected)
    if int(match["port"] or 0) > 65535:
        raise ValueError(f"{expected}, {_PORTS}")
    return text


def check_upstream_name(text: str, folder: Path) -> str:
    """Take a host; one that images cannot name, having no dot, may still be the default or have hostnames."""
    if text in DOCKER_HUB_ALIASES:
        raise ValueError(f"expected {DOCKER_HUB}, which is what images call it")
    return check_host(text, folder)


def check_endpoint(text: str, _folder: Path) -> str:
    url = _split_url(text, "expected a URL such as https://registry.example")
    if "@" in url.netloc:
        raise ValueError("expected a URL without user and password, which go to username and password")
    if url.query or url.fragment:
        raise ValueError("expected a URL without a query or a fragment")
    path = url.path.rstrip("/")
    if path.endswith("/v2"):
        raise ValueError("expected a URL without /v2, which is added")
    return f"{url.scheme}://{url.netloc}{path}"


def check_proxy(text: str, _folder: Path) -> str:
    expected = "expected a URL such as http://proxy.example:3128"
    url = _split_url(text, expected)
    if url.path.strip("/") or url.query or url.fragment:
        raise ValueError(expected)
    return text


def check_syslog(text: str, _folder: Path) -> str:
    expected = "expected udp://HOST:PORT, tcp://HOST:PORT or unix:///PATH"
    url, port = _split(text, expected)
    is_remote = url.scheme in ("udp", "tcp") and url.hostname and port and not url.path
    is_local = url.scheme == "unix" and not url.netloc and url.path
    if not is_remote and not is_local:
        raise ValueError(expected)
    return text


def check_webhook(text: str, _folder: Path) -> str:
    url = _split_url(text, "expected a URL such as https://collector.example/events")
    if "@" in url.netloc:
        raise ValueError("expected a URL without user and password; a token goes to token")
    return text


def check_collector(text: str, _folder: Path) -> str:
    url = _split_url(text, "expected a URL such as http://collector.example:4318")
    if "@" in url.netloc:
        raise ValueError("expected a URL without user and password: none are sent")
    return text


def resolve_folder(text: str, folder: Path) -> str:
    return str(_resolve(text, folder))


def resolve_file(text: str, folder: Path) -> str:
    path = _resolve(text, folder)
    if not path.is_file():
        raise ValueError(f"expected a file, and {path} is none")
    if not os.access(path, os.R_OK):
        raise ValueError(f"expected a file that may be read, and {path} may not")
    return str(path)


def check_program(text: str, folder: Path) -> str:
    program = str(_resolve(text, folder)) if "/" in text else text
    if not text or shutil.which(program) is None:
        raise ValueError("expected a program, by its path or by a name that PATH finds")
    return program


def hide_userinfo(text: str) -> str:
    """Return a URL without what it says of a user and a password; other text as it is."""
    return re.sub(r"(?<=://)[^/]*@", f"{HIDDEN}@", text)


def _resolve(text: str, folder: Path) -> Path:
    if not text:
        raise ValueError("expected a path")
    try:
        return (folder / Path(text).expanduser()).absolute()
    except RuntimeError as error:
        raise ValueError("expected a path whose ~ names a known user") from error


def _split_url(text: str, expected: str) -> SplitResult:
    url, _ = _split(text, expected)
    if url.scheme not in ("http", "https") or not url.hostname or re.search(r"[\s\\]", text):
        raise ValueError(expected)
    return url


def _split(text: str, expected: str) -> tuple[SplitResult, int | None]:
    """Split a URL, and off its port, if it names one."""
    try:
        url = urlsplit(text)
    except ValueError as error:
        raise ValueError(expected) from error
    labels = (url.hostname or "host").removesuffix(".").split(".")
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise ValueError(expected)
    try:
        port = url.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"{expected}, {_PORTS}")
    return url, port
