"""Reads Docker's ``config.json``: credentials written into it, and the helpers it names."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct, field

from entrepot.config.secret import Secret
from entrepot.errors import UpstreamDown

__all__ = ["AuthEntry", "DockerConfig", "helper_program"]


class AuthEntry(Struct, frozen=True):
    username: str
    password: Secret
    identity_token: Secret | None = None


class _Auth(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _Document(msgspec.Struct):
    auths: dict[str, _Auth] = msgspec.field(default_factory=dict)
    cred_helpers: dict[str, str] = msgspec.field(default_factory=dict, name="credHelpers")
    creds_store: str = msgspec.field(default="", name="credsStore")


class DockerConfig(Struct, frozen=True):
    _document: _Document = field(default_factory=_Document)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it as it is now; raise ``UpstreamDown`` where that fails: a `docker login` may mend it."""
        try:
            return cls(msgspec.json.decode(path.read_bytes(), type=_Document))
        except (OSError, msgspec.DecodeError) as error:
            raise UpstreamDown(f"docker_config {path} cannot be read: {error}") from error

    def helper_for(self, key: str) -> str | None:
        """Return the suffix of the helper to ask; one for the registry goes before the one for all."""
        for host, suffix in self._document.cred_helpers.items():
            if _bare(host) == _bare(key):
                return suffix
        return self._document.creds_store or None

    def auth_for(self, key: str) -> AuthEntry | None:
        for host, auth in self._document.auths.items():
            if _bare(host) == _bare(key) and (entry := _read_auth(auth)) is not None:
                return entry
        return None


def helper_program(suffix: str) -> str:
    return f"docker-credential-{suffix}"


def _bare(key: str) -> str:
    """Reduce a key to its host: old versions wrote URLs, of which only the host counts."""
    return key.partition("://")[2].partition("/")[0] or key.partition("/")[0]


def _read_auth(auth: _Auth) -> AuthEntry | None:
    username, password = auth.username, auth.password
    if auth.auth:
        try:
            decoded = base64.b64decode(auth.auth).decode()
        except ValueError:
            return None
        username, _, password = decoded.partition(":")
        password = password.rstrip("\0")
    token = Secret(auth.identitytoken) if auth.identitytoken else None
    if token is None and not username:
        return None
    return AuthEntry(username, Secret(password), token)
