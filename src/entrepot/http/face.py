"""The ASGI application: every request comes in here, and is counted and logged on its way out."""

from __future__ import annotations

import asyncio

from entrepot.errors import EntrepotError
from entrepot.http.call import Again, Call
from entrepot.http.given_again import GivenAgain
from entrepot.http.notes import Notes
from entrepot.http.problems import reply_loop
from entrepot.http.server.asgi import ASGIApp, ClientDisconnected, Message, Receive, Scope, Send
from entrepot.http.status import Status
from entrepot.http.v2.registry import Registry
from entrepot.policy.proxies import TrustedProxies
from entrepot.ports.audit import AuditLog
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
        self._notes = Notes(metrics, audit, clock)
        self._clock = clock

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
                if call.again is not None and _may_offer(call):
                    await self._offer(call, call.again)
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
            self._notes.take(call, seconds)
            if root is not None:
                _end(root, call, seconds)

    def flush(self) -> None:
        """Record what has ended and is not recorded yet."""
        self._notes.flush()

    async def _offer(self, call: Call, again: Again) -> None:
        """Let the server answer requests that are alike by itself."""
        forwarded_for, proxies = call.header(b"x-forwarded-for"), self.proxies
        client = (lambda peer: proxies.client(peer, forwarded_for)) if proxies else None
        await call.offer(again.body, GivenAgain(again.holds, self._notes.alike(call), self._clock, client))


def _may_offer(call: Call) -> bool:
    """Tell whether the server can; each request of a sender that traces may be another part of its traces."""
    return "entrepot.at_hand" in call.scope.get("extensions", ()) and call.header(b"traceparent") is None


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
