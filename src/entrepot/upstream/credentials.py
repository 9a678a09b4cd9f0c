"""Where an upstream's credential comes from: the settings, a file, a helper or Docker's config."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field

from entrepot.config.schema import UpstreamSettings
from entrepot.config.secret import Secret
from entrepot.errors import UpstreamDown
from entrepot.ports.clock import Clock
from entrepot.upstream.credential_helper import HelperRunner
from entrepot.upstream.docker_config import DockerConfig, helper_program

__all__ = ["Credential", "CredentialSource", "credential_source"]

_HELPER_ANSWER_LASTS = 300.0
_DOCKER_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_IDENTITY_TOKEN_USER = "<token>"  # noqa: S105  # The user name by which helpers mark an identity token.


class Credential(Struct, frozen=True):
    """A user with a password or, where ``is_identity_token``, a refresh token for the token service."""

    username: str
    secret: Secret
    is_identity_token: bool = False

    def basic(self) -> str:
        """Write the Authorization header of the Basic scheme (RFC 7617)."""
        pair = f"{self.username}:{self.secret.reveal()}"
        return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


class CredentialSource(Protocol):
    async def current(self) -> Credential | None:
        """Return the credential as it is now, ``None`` to ask as a stranger.

        Raises ``UpstreamDown`` when one is configured and cannot be had.
        """
        ...


def credential_source(
    name: str, hosts: list[str], settings: UpstreamSettings, clock: Clock
) -> CredentialSource:
    """Choose by what is set: ``username``, then ``credential_helper``, then ``docker_config``.

    ``hosts`` are those of the endpoints; they and ``name`` are what others know the credential by.
    """
    keys = _known_by(name, hosts)
    if settings.username is not None:
        return _Configured(settings.username, settings)
    if settings.credential_helper is not None:
        return _FromHelper(HelperRunner(settings.credential_helper), keys[0], clock)
    if settings.docker_config is not None:
        return _FromDockerConfig(Path(settings.docker_config).expanduser(), keys, clock)
    return _Stranger()


def _known_by(name: str, hosts: list[str]) -> list[str]:
    known = [*hosts, name]
    return [_DOCKER_HUB_KEY, *known] if any(host in _DOCKER_HUB_HOSTS for host in known) else known


class _Stranger:
    async def current(self) -> Credential | None:
        return None


class _Configured:
    def __init__(self, username: str, settings: UpstreamSettings) -> None:
        self._username = username
        self._password = settings.password
        self._file = Path(settings.password_file).expanduser() if settings.password_file else None

    async def current(self) -> Credential | None:
        """Read the password file each time, so that a rotated password needs no restart."""
        if self._file is None:
            return Credential(self._username, self._password or Secret(""))
        try:
            password = self._file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UpstreamDown(f"password_file {self._file} cannot be read: {error}") from error
        return Credential(self._username, Secret(password))


class _FromHelper(Struct):
    """Believes a helper for five minutes: running one costs a process, and often a request elsewhere.

    One runs at a time, so that all who ask meanwhile get its answer.
    """

    runner: HelperRunner
    key: str
    clock: Clock
    _answer: Credential | None = None
    _asked_at: float | None = None
    _running: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def current(self) -> Credential | None:
        async with self._running:
            now = self.clock.monotonic()
            if self._asked_at is None or now - self._asked_at > _HELPER_ANSWER_LASTS:
                found = await self.runner.get(self.key)
                self._answer = None if found is None else _from_pair(found.username, found.secret)
                self._asked_at = now
            return self._answer


class _FromDockerConfig(Struct):
    path: Path
    keys: list[str]
    clock: Clock
    _helpers: dict[tuple[str, str], _FromHelper] = field(default_factory=dict)

    async def current(self) -> Credential | None:
        config = DockerConfig.read(self.path)
        for key in self.keys:
            suffix = config.helper_for(key)
            if suffix is not None and (found := await self._helper(suffix, key).current()):
                return found
            if (entry := config.auth_for(key)) is not None:
                if entry.identity_token is not None:
                    return _from_pair(_IDENTITY_TOKEN_USER, entry.identity_token)
                return _from_pair(entry.username, entry.password)
        return None

    def _helper(self, suffix: str, key: str) -> _FromHelper:
        known = self._helpers.get((suffix, key))
        if known is None:
            known = _FromHelper(HelperRunner(helper_program(suffix)), key, self.clock)
            self._helpers[suffix, key] = known
        return known


def _from_pair(username: str, secret: Secret) -> Credential:
    return Credential(username, secret, is_identity_token=username == _IDENTITY_TOKEN_USER)
