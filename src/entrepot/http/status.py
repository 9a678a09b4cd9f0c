"""What supervisors ask: is it alive, does it serve, what did it count."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from entrepot.http.call import Call
from entrepot.telemetry.metrics import OPEN_METRICS_TYPE, TEXT_TYPE

__all__ = ["Status"]

_JSON = (b"content-type", b"application/json")


class Status:
    """``obstacle`` tells why requests had better go elsewhere, ``warning`` what else is wrong, if it is."""

    def __init__(
        self,
        obstacle: Callable[[], str | None],
        warning: Callable[[], str | None],
        render_metrics: Callable[[str], bytes],
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
        """Answer by OpenMetrics where it is asked for, as Prometheus does; else by what everybody reads."""
        is_open = "application/openmetrics-text" in (call.header(b"accept") or "")
        content_type = OPEN_METRICS_TYPE if is_open else TEXT_TYPE
        headers = [(b"content-type", content_type.encode()), (b"vary", b"accept")]
        await call.reply(200, headers, self._render_metrics(content_type))
