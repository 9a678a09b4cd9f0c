"""The ASGI application: every request comes in here, and is counted and logged on its way out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from entrepot.errors import EntrepotError
from entrepot.http.call import Call
from entrepot.http.problems import reply_loop
from entrepot.http.server.asgi import ASGIApp, ClientDisconnected, Message, Receive, Scope, Send
from entrepot.http.status import Status
from entrepot.http.v2.registry import Registry
from entrepot.policy.proxies import TrustedProxies
from entrepot.ports.audit import AuditLog, RequestEntry
from entrepot.ports.clock import Clock
from entrepot.telemetry.log import log
from entrepot.telemetry.metrics import Metrics
from entrepot.telemetry.trace import Root, trace

__all__ = ["Face"]

_API = b"/api/"
_AT_HAND = (None, "hit")
_SLOW_SECONDS = 1.0


class Face:
    """``audit`` is ``None`` where nobody asks for it, ``api`` where nobody is to steer the cache.

    ``via`` names this cache to its upstreams.  Whom ``proxies`` name is who asks, for all that follows.
    """

    proxies = TrustedProxies()

    def __init__(
        self,
        registry: Registry,
        status: Status,
        metrics: Metrics,
        audit: AuditLog | None,
        clock: Clock,
        *,
        api: ASGIApp | None = None,
        via: str | None = None,
    ) -> None:
        self._via = via
        self._api = api
        self._registry = registry
        self._status = status
        self._metrics = metrics
        self._audit = audit
        self._clock = clock
        self._ended: list[tuple[Call, float]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, send)
        root = trace.begin_request(call.header(b"traceparent")) if trace.is_on else None
        if self.proxies:
            peer, port = scope["client"]
            scope["client"] = self.proxies.client(peer, call.header(b"x-forwarded-for")), port
        begun = self._clock.monotonic()
        try:
            path = scope["raw_path"]
            page = self._status.pages.get(path)
            if page is not None and call.method in {"GET", "HEAD"}:
                await page(call)
            elif self._via is not None and self._via in (call.header(b"via") or ""):
                await reply_loop(call)
            elif self._api is not None and path.startswith(_API):
                await _answer_by(self._api, call, receive)
            else:
                await self._registry.answer(call)
        except EntrepotError as failure:
            # The answer has begun and cannot end well: returning breaks it off, visibly to the client.
            call.reason = str(failure)
            log.warning("answer_broken", path=scope["path"], reason=call.reason)
        except (ClientDisconnected, asyncio.CancelledError) as end:
            has_left = isinstance(end, ClientDisconnected)
            call.reason = "the client left" if has_left else "ended before it was answered"
            raise
        finally:
            seconds = self._clock.monotonic() - begun
            self._note(call, seconds)
            if root is not None:
                _end(root, call, seconds)

    def flush(self) -> None:
        """Record what ended in this turn of the loop: all at once costs half of one at a time."""
        ended, self._ended = self._ended, []
        if self._audit is not None and ended:
            time = datetime.fromtimestamp(self._clock.now(), UTC)
            self._audit.record(*(_entry(call, seconds, time) for call, seconds in ended))

    def _note(self, call: Call, seconds: float) -> None:
        upstream = call.repository.upstream if call.repository is not None else ""
        outcome = call.cache or ("error" if call.status >= 400 else "none")
        content = call.sent_bytes if call.status < 400 else 0  # What an error says is none.
        self._metrics.request(upstream, call.kind, outcome, call.status).add(seconds, content)
        if self._audit is not None:
            if not self._ended:
                asyncio.get_running_loop().call_soon(self.flush)
            self._ended.append((call, seconds))


def _entry(call: Call, seconds: float, time: datetime) -> RequestEntry:
    scope, repository = call.scope, call.repository
    return RequestEntry(
        time=time,
        remote=scope["client"][0],
        user=call.user,
        user_agent=call.header(b"user-agent"),
        method=call.method,
        path=scope["path"],
        upstream=repository.upstream if repository is not None else None,
        repository=repository.name if repository is not None else None,
        reference=call.reference,
        digest=call.digest,
        status=call.status,
        size=call.sent_bytes,
        duration_seconds=int(seconds * 1e6) / 1e6,
        cache=call.cache,
        reason=call.reason,
    )


def _end(root: Root, call: Call, seconds: float) -> None:
    """Tell of a request by the names that OpenTelemetry has for it, and by our own.

    It is plain if it waited for nothing, and went as it should.
    """
    is_plain = call.cache in _AT_HAND and 0 < call.status < 500 and seconds < _SLOW_SECONDS
    span = trace.end_request(root, is_plain=is_plain)
    if span is None:
        return
    repository = call.repository
    span.name = f"{call.method} {call.kind}"
    span.end(
        call.reason if call.status >= 500 or not call.status else None,
        **{
            "http.request.method": call.method,
            "url.path": call.scope["path"],
            "http.response.status_code": call.status,
            "http.response.body.size": call.sent_bytes,
            "client.address": call.scope["client"][0],
            "user_agent.original": call.header(b"user-agent"),
            "entrepot.upstream": repository.upstream if repository is not None else None,
            "entrepot.repository": repository.name if repository is not None else None,
            "entrepot.reference": call.reference,
            "entrepot.cache": call.cache,
        },
    )


async def _answer_by(api: ASGIApp, call: Call, receive: Receive) -> None:
    call.kind = "api"
    # The server leaves out the body of an answer to HEAD; else the two are one (RFC 9110, 9.3.2).
    scope = {**call.scope, "method": "GET" if call.method == "HEAD" else call.method}

    async def send(message: Message) -> None:
        await call.pass_on(_with_head(message))

    await api(scope, receive, send)
    call.user = scope["user"].name if "user" in scope else None


def _with_head(message: Message) -> Message:
    """Name HEAD where GET is allowed: the application does not know that it answers both."""
    if message["type"] != "http.response.start":
        return message
    headers = [
        (name, value + b", HEAD" if name == b"allow" and b"GET" in value else value)
        for name, value in message["headers"]
    ]
    return {**message, "headers": headers}
