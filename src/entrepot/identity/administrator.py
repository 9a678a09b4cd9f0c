"""The one identity there is: the administrator, by a token that is made at the first start or configured."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Self

from entrepot.config.schema import AdminSettings
from entrepot.errors import SettingsInvalid
from entrepot.policy.permission import Caller, Role
from entrepot.telemetry.log import log

__all__ = ["FILE_NAME", "AdministratorToken"]

FILE_NAME = "admin-token"
_ADMINISTRATOR = Caller("administrator", Role.ADMINISTRATOR)


class AdministratorToken:
    """Implements ``ports.identity.Identities``; keeps no token, only what tells it from others."""

    def __init__(self, token: str) -> None:
        self._digest = _digest(token)

    @classmethod
    def open(cls, settings: AdminSettings, folder: Path) -> Self:
        """Take the configured token, else that of the data folder, made now if there is none.

        Raises ``SettingsInvalid`` where it can be neither read nor made, or is no token.
        """
        if settings.token is not None:
            return cls(settings.token.reveal())
        configured = settings.token_file
        path = Path(configured) if configured is not None else folder / FILE_NAME
        try:
            if configured is None and not path.exists():
                _make(path)
                log.info("admin_token_made", path=str(path))
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as failure:
            raise SettingsInvalid(f"the administrator's token {path} cannot be read: {failure}") from failure
        if not token:
            raise SettingsInvalid(f"{path} holds no token; remove it to have one made")
        return cls(token)

    async def identify(self, token: str) -> Caller | None:
        # Digests are of one length, so that comparing them tells nothing of the token's.
        return _ADMINISTRATOR if hmac.compare_digest(_digest(token), self._digest) else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _make(path: Path) -> None:
    """Write a new token that nobody else may read; what is half written has another name."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{secrets.token_urlsafe(32)}\n")
    os.replace(unfinished, path)
