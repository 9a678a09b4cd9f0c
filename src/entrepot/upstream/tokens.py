"""Tokens: fetched once for all who ask, kept until they expire (distribution, "Token Authentication")."""

from __future__ import annotations

import asyncio
from functools import partial
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from entrepot.errors import RateLimited, Refused, UpstreamDown
from entrepot.ports.clock import Clock
from entrepot.upstream.answers import retry_after
from entrepot.upstream.bodies import read_start, read_whole
from entrepot.upstream.credentials import Credential
from entrepot.upstream.endpoint import host_of, origin_of
from entrepot.upstream.redirects import followed
from entrepot.upstream.transport import Ask, Response, Transport

__all__ = ["TokenWish", "Tokens"]

_MOST_TOKENS = 1024
_MOST_BYTES = 1 << 20
_DEFAULT_LIFE = 60.0  # What the specification says of a token that does not tell.
_MARGIN = 0.1  # The part of a token's life that is left to requests on their way.
_CLIENT_ID = "entrepot"


class TokenWish(Struct, frozen=True):
    """What a challenge asks for; ``credential`` is ``None`` for a stranger."""

    realm: str
    service: str
    scope: str
    credential: Credential | None

    @property
    def host(self) -> str:
        return host_of(self.realm)


class _Token(Struct, frozen=True):
    text: str
    expires_at: float


class _Document(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    expires_in: object = None


class Tokens:
    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._kept: dict[TokenWish, _Token] = {}
        self._flights: dict[TokenWish, asyncio.Task[_Token]] = {}

    async def get(self, wish: TokenWish, rejected: str | None = None) -> str:
        """Return a token that is not ``rejected``, one the registry took no more.

        Raises ``Refused`` when the token service gives none, ``RateLimited`` or ``UpstreamDown``.
        """
        kept = self._kept.get(wish)
        if kept is not None and kept.expires_at > self._clock.monotonic() and kept.text != rejected:
            return kept.text
        flight = self._flights.get(wish) or self._launch(wish)
        return (await asyncio.shield(flight)).text

    async def close(self) -> None:
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights, timeout=1)

    def _launch(self, wish: TokenWish) -> asyncio.Task[_Token]:
        """Start the one request that all askers share; whoever of them leaves, it goes on."""
        flight = asyncio.create_task(self._fetch(wish), name=f"token of {wish.host}")
        self._flights[wish] = flight
        flight.add_done_callback(lambda done: self._land(wish, done))
        return flight

    def _land(self, wish: TokenWish, flight: asyncio.Task[_Token]) -> None:
        del self._flights[wish]
        self._kept.pop(wish, None)
        if not flight.cancelled() and flight.exception() is None:
            while len(self._kept) >= _MOST_TOKENS:
                del self._kept[next(iter(self._kept))]
            self._kept[wish] = flight.result()

    async def _fetch(self, wish: TokenWish) -> _Token:
        asked_at = self._clock.monotonic()
        if wish.credential is not None and wish.credential.is_identity_token:
            content = await self._post(wish, wish.credential)
        else:
            content = await self._get(wish)
        return _read_token(content, asked_at, wish.host)

    async def _get(self, wish: TokenWish) -> bytes:
        """Ask by GET, and again by POST where 404 or 405 says that only OAuth 2 is spoken."""
        what = f"the token service {wish.host}"
        async with followed(self._transport, _url(wish), partial(_ask, wish), what) as (response, _):
            if response.status not in (404, 405) or wish.credential is None:
                return await self._content_of(response, wish)
            await read_start(response)
        return await self._post(wish, wish.credential)

    async def _post(self, wish: TokenWish, credential: Credential) -> bytes:
        form = {"service": wish.service, "client_id": _CLIENT_ID} | _grant(credential)
        if wish.scope:
            form["scope"] = wish.scope
        async with self._transport.request(Ask("POST", wish.realm, {}, form)) as response:
            return await self._content_of(response, wish)

    async def _content_of(self, response: Response, wish: TokenWish) -> bytes:
        status = response.status
        if status == 200:
            return await read_whole(response, _MOST_BYTES, f"the token of {wish.host}")
        await read_start(response)
        if status in (400, 401, 403):
            raise Refused(_refusal(wish, status))
        wait = retry_after(response.headers, self._clock.now())
        if status == 429:
            raise RateLimited(f"the token service {wish.host} counts too many requests", wait)
        raise UpstreamDown(f"the token service {wish.host} answered {status}", wait)


def _url(wish: TokenWish) -> str:
    query = {"service": wish.service, "scope": wish.scope}
    if wish.credential is not None:
        query["account"] = wish.credential.username
    query_text = urlencode({name: value for name, value in query.items() if value})
    joint = "&" if urlsplit(wish.realm).query else "?"
    return f"{wish.realm}{joint}{query_text}" if query_text else wish.realm


def _ask(wish: TokenWish, url: str) -> Ask:
    """Raise ``UpstreamDown`` where a redirect leads to which a credential must not go along."""
    if wish.credential is None:
        return Ask("GET", url, {})
    if origin_of(url) != origin_of(wish.realm):
        place = f"{host_of(url)}, where no credential is sent"
        raise UpstreamDown(f"the token service {wish.host} redirects to {place}")
    return Ask("GET", url, {"Authorization": wish.credential.basic()})


def _grant(credential: Credential) -> dict[str, str]:
    if credential.is_identity_token:
        return {"grant_type": "refresh_token", "refresh_token": credential.secret.reveal()}
    return {
        "grant_type": "password",
        "username": credential.username,
        "password": credential.secret.reveal(),
    }


def _refusal(wish: TokenWish, status: int) -> str:
    if wish.credential is None:
        return f"the token service {wish.host} gives strangers no token ({status}); set username and password"
    return (
        f"the token service {wish.host} refused the credential of {wish.credential.username} ({status}); "
        "check username and password"
    )


def _read_token(content: bytes, asked_at: float, host: str) -> _Token:
    try:
        document = msgspec.json.decode(content, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamDown(f"the token service {host} sent no token but nonsense") from error
    text = document.token or document.access_token
    if not text or not text.isascii() or not text.isprintable():
        raise UpstreamDown(f"the token service {host} sent no usable token")
    told = document.expires_in
    life = float(told) if isinstance(told, int | float) and told > 0 else _DEFAULT_LIFE
    return _Token(text, asked_at + life * (1 - _MARGIN))
