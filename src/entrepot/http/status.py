"""What supervisors ask: is it alive, does it serve, what did it count."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from entrepot.http.call import Call
from entrepot.telemetry.metrics import CONTENT_TYPE

__all__ = ["Status"]

_JSON = (b"content-type", b"application/json")


class Status:
    """``obstacle`` tells why requests had better go elsewhere, ``warning`` what else is wrong, if it is."""

    def __init__(
        self,
        obstacle: Callable[[], str | None],
        warning: Callable[[], str | None],
        render_metrics: Callable[[], bytes],
    ) -> None:
        self._obstacle = obstacle
        self._warning = warning
        self._render_metrics = render_metrics
        self.pages = {b"/healthz": self._alive, b"/readyz": self._ready, b"/metrics": self._metrics}

    async def _alive(self, call: Call) -> None:
        await call.reply(200, [_JSON], msgspec.json.encode({"status": "ok"}))

    async def _ready(self, call: Call) -> None:
        """Answer by what is here alone: an upstream that is down is no reason to stop serving."""
        obstacle = self._obstacle()
        if obstacle is None:
            warning = self._warning()
            told = {"status": "ready"} if warning is None else {"status": "ready", "warning": warning}
            await call.reply(200, [_JSON], msgspec.json.encode(told))
        else:
            await call.reply(503, [_JSON], msgspec.json.encode({"status": "not ready", "reason": obstacle}))

    async def _metrics(self, call: Call) -> None:
        await call.reply(200, [(b"content-type", CONTENT_TYPE.encode())], self._render_metrics())
