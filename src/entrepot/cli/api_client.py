"""Calls the admin API of a running cache, this machine's or another's."""

from __future__ import annotations

import itertools
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import BadStatusLine, HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

import click
import msgspec

from entrepot.config.data_folder import find_data_folder
from entrepot.config.forms import parse_listen
from entrepot.config.load import load_settings
from entrepot.config.schema import Settings
from entrepot.errors import SettingsInvalid
from entrepot.http.api.prefix import PREFIX

__all__ = ["Answer", "ApiClient", "ApiFailed", "NotDone", "connect", "own_client", "token_of"]

_DEADLINE = 60.0
_MADE_AT_FIRST_START = "admin-token"
_PROBLEM = "application/problem+json"
_LARGEST_PAGE = 500
_TOKEN_REFUSED = (401, 403)
# What is asked for in a wrong way, or by who may not: the command was used wrongly.  All else failed.
_WRONG_USAGE = (400, *_TOKEN_REFUSED, 429)
_TOKEN = re.compile(r"[ -~]+")
_HOW_TO_NAME_ONE = (
    "name the folder of the cache with ENTREPOT_DATA, its configuration with --config,"
    " or its address and its token with --url and --token-file"
)


class ApiFailed(click.ClickException):
    """The cache cannot be called, or not so.  ``status`` is that of its answer, 0 where there was none."""

    exit_code = 2

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NotDone(ApiFailed):
    """The cache has no such thing, or failed to do what it was asked."""

    exit_code = 1


class Answer(msgspec.Struct, frozen=True):
    """``headers`` by lower-case name; ``content`` is ``None`` for nothing."""

    status: int
    content: Any
    headers: Mapping[str, str]


class ApiClient:
    """``trust`` is for HTTPS; without it, the system's authorities are trusted."""

    def __init__(
        self, url: str, token: str, trust: ssl.SSLContext | None = None, *, within: float = _DEADLINE
    ) -> None:
        """Give up on an answer of which nothing comes for ``within`` seconds."""
        self._url = _checked(url)
        self._token = token
        self._trust = trust
        self._within = within

    def patient(self, within: float) -> ApiClient:
        """Return one that waits longer for its answers."""
        return ApiClient(self.url, self._token, self._trust, within=within)

    @property
    def url(self) -> str:
        return self._url.geturl()

    def call(
        self, method: str, path: str, body: object = None, query: Mapping[str, object] | None = None
    ) -> Any:
        """Return what the API answers, ``None`` for nothing; raise ``ApiFailed``."""
        return self.exchange(method, path, body, query).content

    def exchange(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, object] | None = None,
        **headers: str,
    ) -> Answer:
        """As ``call``, but with the answer's headers; ``headers`` go along with ``_`` for ``-``."""
        given = {
            "Authorization": f"Bearer {self._token}",
            "User-Agent": f"entrepot/{version('entrepot')}",
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        content = None if body is None else msgspec.json.encode(body)
        given_query = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        told = urlencode(given_query, doseq=True)
        target = f"{PREFIX}{path}{'?' if told else ''}{told}"
        return self._ask(method, target, content, given)

    def rows(
        self, path: str, query: Mapping[str, object] | None = None, most: int | None = None
    ) -> Iterator[Any]:
        """Yield what a list holds, page by page, ``most`` rows if so many are wanted."""
        page_size = min(most or _LARGEST_PAGE, _LARGEST_PAGE)
        for page in itertools.count(1):
            numbers = {"page": page, "page_size": page_size}
            rows = self.call("GET", path, query={**(query or {}), **numbers})
            yield from rows if most is None else rows[: most - (page - 1) * page_size]
            if len(rows) < page_size or (most is not None and page * page_size >= most):
                return

    def readiness(self) -> Any:
        """Return what the cache says of itself to supervisors, to which no token is needed."""
        return self._ask("GET", "/readyz", None, {}, expected=(200, 503)).content

    def _ask(
        self,
        method: str,
        target: str,
        content: bytes | None,
        headers: Mapping[str, str],
        expected: tuple[int, ...] = (),
    ) -> Answer:
        try:
            with closing(self._connection()) as connection:
                connection.request(method, self._url.path.rstrip("/") + target, content, dict(headers))
                return _answer(connection.getresponse(), expected)
        except ssl.SSLCertVerificationError as error:
            reason = f"has a certificate that is not trusted; see --ca-file: {error.verify_message}"
            raise ApiFailed(f"{self.url} {reason}") from error
        except (OSError, HTTPException, ValueError) as error:
            told = getattr(error, "strerror", None) or error
            reason = f"cannot be called: {told}; {self._doubt(error)} See --url"
            raise ApiFailed(f"{self.url} {reason}") from error

    def _doubt(self, error: Exception) -> str:
        """Tell TLS that is spoken on one side alone from a cache that is not there, or has just ended."""
        if isinstance(error, ssl.SSLError):
            return "does it speak http:// there, without TLS?"
        if isinstance(error, BadStatusLine) and self._url.scheme == "http":
            return "was it stopped meanwhile, or does it speak https:// there?"
        return "does the cache run there?"

    def _connection(self) -> HTTPConnection:
        host, port = str(self._url.hostname), self._url.port
        if self._url.scheme == "http":
            return HTTPConnection(host, port, timeout=self._within)
        return HTTPSConnection(host, port, timeout=self._within, context=self._trust)


def connect(
    file: Path | None,
    url: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    *,
    within: float = _DEADLINE,
) -> ApiClient:
    """Call the cache at ``url``, else the one that the configuration describes, with its token."""
    settings = load_settings(file, os.environ, {})
    is_named = any((token_file, settings.admin.token, settings.admin.token_file))
    if url is not None and not is_named and not _is_here(_checked(url)):
        # The token that was made for the cache of this machine is nothing for others to see.
        raise ApiFailed(f"{url} is on another machine: name the token of its cache with --token-file")
    token = token_of(settings, token_file)
    if url is None:
        return own_client(settings, token, within=within)
    try:
        trust = ssl.create_default_context(cafile=ca_file) if ca_file else None
    except ssl.SSLError as error:
        raise ApiFailed(f"{ca_file} is no PEM file of certificates") from error
    return ApiClient(url, token, trust, within=within)


def own_client(settings: Settings, token: str, *, within: float = _DEADLINE) -> ApiClient:
    """Call the cache that the settings describe."""
    return ApiClient(_own_url(settings), token, _own_trust(settings), within=within)


def token_of(settings: Settings, token_file: Path | None = None) -> str:
    """Return the administrator's token; raise ``ApiFailed`` where it cannot be read."""
    if token_file is None and settings.admin.token is not None:
        return settings.admin.token.reveal()
    configured = Path(settings.admin.token_file) if settings.admin.token_file else None
    path = token_file or configured or _made_token(settings)
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ApiFailed(
            f"the administrator's token in {path} cannot be read: {reason}; see --token-file"
        ) from error
    if not _TOKEN.fullmatch(token):  # It could not be sent, and the complaint about that would show it.
        raise ApiFailed(f"{path} holds no token; see --token-file")
    return token


def _made_token(settings: Settings) -> Path:
    """Return where the cache keeps the token that it made for itself."""
    try:
        return find_data_folder(settings.data) / _MADE_AT_FIRST_START
    except SettingsInvalid as error:
        raise ApiFailed(f"{error}; {_HOW_TO_NAME_ONE}") from error


def _checked(url: str) -> SplitResult:
    complaint = f"expected a URL such as https://cache.example:5000, found {url!r}"
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ApiFailed(complaint) from error
    if not is_complete:
        raise ApiFailed(complaint)
    return parts


def _is_here(url: SplitResult) -> bool:
    try:
        return ip_address(str(url.hostname)).is_loopback
    except ValueError:
        return url.hostname == "localhost"


def _answer(response: HTTPResponse, expected: tuple[int, ...]) -> Answer:
    content = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    status = response.status
    try:
        answer = msgspec.json.decode(content) if content else None
    except msgspec.DecodeError as error:
        raise ApiFailed(_stranger(status), status) from error
    if 200 <= status < 300 or status in expected:
        return Answer(status, answer, headers)
    if not headers.get("content-type", "").startswith(_PROBLEM) or not isinstance(answer, dict):
        raise ApiFailed(_stranger(status), status)
    advice = "; see --token-file" if status in _TOKEN_REFUSED else ""
    kind = ApiFailed if status in _WRONG_USAGE else NotDone
    raise kind(_complaint(answer) + advice, status)


def _stranger(status: int) -> str:
    expected = "is that the URL of a cache, and is admin.enabled on there?"
    return f"the answer, {status}, is not that of the admin API: {expected}"


def _complaint(problem: dict[str, Any]) -> str:
    """Say what a problem document says: its faults, which the detail sums up, or that where it has none."""
    faults = [f"{fault.get('key') or 'request'}: {fault['message']}" for fault in problem.get("errors", ())]
    return "\n".join(faults) or str(problem.get("detail") or problem.get("title"))


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
