"""Who is calling."""

from __future__ import annotations

from typing import Protocol

from entrepot.policy.permission import Caller

__all__ = ["Identities"]


class Identities(Protocol):
    async def identify(self, token: str) -> Caller | None:
        """Return whom a bearer token stands for, ``None`` for nobody.

        How long it takes must not tell how nearly a token is right.
        """
        ...
