"""Calls the admin API of a running cache, this machine's or another's."""

from __future__ import annotations

import os
import ssl
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from entrepot.config.data_folder import find_data_folder
from entrepot.config.forms import parse_listen
from entrepot.config.load import load_settings
from entrepot.config.schema import Settings
from entrepot.errors import SettingsInvalid

__all__ = ["ApiClient", "ApiFailed", "connect"]

_DEADLINE = 60.0
_MADE_AT_FIRST_START = "admin-token"


class ApiFailed(click.ClickException):
    """The cache cannot be called, or refuses what it was asked."""

    exit_code = 2


class ApiClient:
    """``trust`` is for HTTPS; without it, the system's authorities are trusted."""

    def __init__(self, url: str, token: str, trust: ssl.SSLContext | None = None) -> None:
        self._url = urlsplit(url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ApiFailed(f"expected a URL such as https://cache.example:5000, found {url!r}")
        self._token = token
        self._trust = trust

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return what the API answers, ``None`` for nothing; raise ``ApiFailed``."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        content = None if body is None else msgspec.json.encode(body)
        target = f"{self._url.path.rstrip('/')}/api/v1{path}"
        try:
            with closing(self._connection()) as connection:
                connection.request(method, target, content, headers)
                return _answer(connection.getresponse())
        except (OSError, HTTPException) as error:
            reason = f"cannot be called: {error}; does the cache run there?"
            raise ApiFailed(f"{self._url.geturl()} {reason}") from error

    def _connection(self) -> HTTPConnection:
        host, port = str(self._url.hostname), self._url.port
        if self._url.scheme == "http":
            return HTTPConnection(host, port, timeout=_DEADLINE)
        return HTTPSConnection(host, port, timeout=_DEADLINE, context=self._trust)


def connect(file: Path | None, url: str | None, token_file: Path | None, ca_file: Path | None) -> ApiClient:
    """Call the cache at ``url``, else the one that the configuration describes, with its token."""
    settings = load_settings(file, os.environ, {})
    token = _token(settings, token_file)
    if url is None:
        return ApiClient(_own_url(settings), token, _own_trust(settings))
    try:
        return ApiClient(url, token, ssl.create_default_context(cafile=ca_file) if ca_file else None)
    except ssl.SSLError as error:
        raise ApiFailed(f"{ca_file} is no PEM file of certificates") from error


def _answer(response: HTTPResponse) -> Any:
    content = response.read()
    try:
        answer = msgspec.json.decode(content) if content else None
    except msgspec.DecodeError as error:
        raise ApiFailed(f"the answer, {response.status}, is not that of the admin API") from error
    if response.status >= 400:
        raise ApiFailed(_complaint(answer, response.status))
    return answer


def _complaint(problem: Any, status: int) -> str:
    """Say what a problem document says."""
    if not isinstance(problem, dict):
        return f"the cache answered {status}"
    faults = [f"{fault.get('key') or 'request'}: {fault['message']}" for fault in problem.get("errors", ())]
    return "\n".join([str(problem.get("detail") or problem.get("title")), *faults])


def _token(settings: Settings, token_file: Path | None) -> str:
    if token_file is None and settings.admin.token is not None:
        return settings.admin.token.reveal()
    configured = Path(settings.admin.token_file) if settings.admin.token_file else None
    try:
        path = token_file or configured or find_data_folder(settings.data) / _MADE_AT_FIRST_START
        return path.read_text(encoding="utf-8").strip()
    except (SettingsInvalid, OSError, UnicodeDecodeError) as error:
        raise ApiFailed(f"the administrator's token cannot be read: {error}; see --token-file") from error


def _own_url(settings: Settings) -> str:
    host, port = parse_listen(settings.listen)
    if host is None or _is_everywhere(host):
        host = "127.0.0.1"
    scheme = "http" if settings.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _is_everywhere(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _own_trust(settings: Settings) -> ssl.SSLContext | None:
    """Trust the very certificate that the configuration names, under whatever name it is called."""
    if settings.tls is None:
        return None
    trust = ssl.create_default_context(cafile=settings.tls.certificate)
    trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trust.check_hostname = False
    return trust
