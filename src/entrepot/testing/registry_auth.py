"""How a fake registry tells its callers apart: Bearer tokens from a token service, or Basic."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs

from entrepot.testing.registry_wire import Answer, Request

__all__ = ["Auth", "BasicAuth", "BearerAuth", "Open"]


class Auth(Protocol):
    def challenge(self, request: Request, base_url: str, repository: str | None, /) -> Answer | None:
        """Return the 401 that ``request`` deserves, or ``None`` where it may pass."""
        ...

    def token(self, request: Request, /) -> Answer:
        """Answer as the token service."""
        ...


class Open:
    """Everyone may read everything."""

    def challenge(self, _request: Request, _base_url: str, _repository: str | None) -> Answer | None:
        return None

    def token(self, _request: Request) -> Answer:
        return Answer(404)


@dataclass(slots=True)
class BasicAuth:
    users: Mapping[str, str]

    def challenge(self, request: Request, _base_url: str, _repository: str | None) -> Answer | None:
        if _basic_user(request, self.users) is not None:
            return None
        return _unauthorized('Basic realm="fake"')

    def token(self, _request: Request) -> Answer:
        return Answer(404)


@dataclass(slots=True)
class BearerAuth:
    """A token service at ``/token``.

    ``methods``: how it may be asked. ``anonymous``: whether strangers get tokens.
    ``identity_tokens``: refresh tokens that POST takes instead of a password.
    ``realm``: where the challenge sends callers, if not here. ``expires_in``: what it says of
    its tokens, in seconds; ``expire`` ends them all at once, whatever was said.
    """

    users: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = True
    methods: tuple[str, ...] = ("GET",)
    identity_tokens: tuple[str, ...] = ()
    realm: str | None = None
    service: str = "fake"
    expires_in: int | None = 300
    scopes: dict[str, str] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def expire(self) -> None:
        self.scopes.clear()

    def challenge(self, request: Request, base_url: str, repository: str | None) -> Answer | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        granted = self.scopes.get(token) if scheme == "Bearer" else None
        wanted = f"repository:{repository}:pull" if repository else ""
        if granted is not None and wanted in ("", *granted.split()):
            return None
        challenge = f'Bearer realm="{self.realm or base_url + "/token"}",service="{self.service}"'
        if wanted:
            challenge += f',scope="{wanted}"'
        if token:
            challenge += ',error="invalid_token"'
        return _unauthorized(challenge)

    def token(self, request: Request) -> Answer:
        if request.method not in self.methods:
            return Answer(405)
        if request.method == "POST":
            form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
            granted = self._granted_by_form(form)
            scope = form.get("scope", "")
        else:
            granted = _basic_user(request, self.users) is not None
            granted = granted or (self.anonymous and "authorization" not in request.headers)
            scope = request.query.get("scope", "")
        return self._issue(scope, request.method) if granted else Answer(401)

    def _granted_by_form(self, form: Mapping[str, str]) -> bool:
        match form.get("grant_type"):
            case "refresh_token":
                return form.get("refresh_token", "") in self.identity_tokens
            case "password":
                return self.users.get(form.get("username", "")) == form.get("password", "-")
            case _:
                return False

    def _issue(self, scope: str, method: str) -> Answer:
        token = f"token-{next(self._numbers)}"
        self.scopes[token] = scope
        document: dict[str, object] = {"access_token" if method == "POST" else "token": token}
        if self.expires_in is not None:
            document["expires_in"] = self.expires_in
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())


def _basic_user(request: Request, users: Mapping[str, str]) -> str | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme != "Basic":
        return None
    user, _, password = base64.b64decode(encoded).decode().partition(":")
    return user if users.get(user) == password else None


def _unauthorized(challenge: str) -> Answer:
    body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
    return Answer(401, {"WWW-Authenticate": challenge, "Content-Type": "application/json"}, body)
