"""Asks a ``docker-credential-...`` program for a credential (docker-credential-helpers, "Usage")."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct

from entrepot.config.secret import Secret
from entrepot.errors import UpstreamDown

__all__ = ["HelperAnswer", "HelperRunner"]

_TIMEOUT = 15.0
_NOT_FOUND = "credentials not found"


class HelperAnswer(Struct, frozen=True):
    username: str
    secret: Secret


class _Document(msgspec.Struct):
    username: str = msgspec.field(name="Username")
    secret: str = msgspec.field(name="Secret")


class HelperRunner(Struct, frozen=True):
    program: str

    async def get(self, key: str) -> HelperAnswer | None:
        """Return what the helper keeps under ``key``, ``None`` if it has nothing.

        Raises ``UpstreamDown`` when it cannot be run, fails, or takes longer than 15 seconds.
        """
        status, output = await self._run(key)
        if status != 0:
            said = output.decode(errors="replace").strip()
            if _NOT_FOUND in said:
                return None
            raise UpstreamDown(f"{self.program} get failed for {key}: {said[:200] or f'status {status}'}")
        try:
            document = msgspec.json.decode(output, type=_Document)
        except msgspec.DecodeError as error:
            raise UpstreamDown(f"{self.program} get printed no credential for {key}: {error}") from error
        return HelperAnswer(document.username, Secret(document.secret))

    async def _run(self, key: str) -> tuple[int | None, bytes]:
        try:
            process = await asyncio.create_subprocess_exec(
                self.program,
                "get",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise UpstreamDown(f"credential helper {self.program} cannot be run: {error.strerror}") from error
        try:
            async with asyncio.timeout(_TIMEOUT):
                output, _ = await process.communicate(key.encode())
        except TimeoutError as error:
            raise UpstreamDown(f"{self.program} gave no credential within {_TIMEOUT:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode, output
