"""Asks an endpoint whether it answers, and whether it takes its credential."""

from __future__ import annotations

import asyncio

from entrepot.errors import EntrepotError, NotHere, RateLimited, Refused, UpstreamDown, UpstreamTimeout
from entrepot.ports.clock import Clock
from entrepot.ports.condition import Outcome, Trial
from entrepot.upstream.authorizer import UserWanted
from entrepot.upstream.client import Client, Wish
from entrepot.upstream.endpoint import Endpoint
from entrepot.upstream.failover import blame
from entrepot.upstream.observer import outcome_of
from entrepot.upstream.transport import Unreached

__all__ = ["try_endpoint"]

_DEADLINE = 30.0
_BASE = Wish("", "", "other", NotHere)


async def try_endpoint(client: Client, endpoint: Endpoint, clock: Clock, *, has_credential: bool) -> Trial:
    """Ask for the base of the API, to which every registry must answer (distribution-spec, "end-1").

    A registry that refuses strangers there may still let them pull: that is no failure, but one that asks
    for a user itself most likely does so everywhere, and is said to.  What comes of it counts for or
    against the endpoint as any answer does.
    """
    begun = clock.monotonic()
    failure: EntrepotError | None = None
    remark: str | None = None
    try:
        async with asyncio.timeout(_DEADLINE), client.open(endpoint, _BASE):
            pass
    except TimeoutError:
        failure = UpstreamTimeout(f"{endpoint.host} did not answer within {_DEADLINE:.0f} s")
    except Refused as refusal:
        failure = refusal if has_credential else None
        remark = str(refusal) if isinstance(refusal, UserWanted) else None
    except EntrepotError as failed:
        failure = failed
    seconds = clock.monotonic() - begun
    if isinstance(failure, RateLimited | UpstreamDown):
        blame(endpoint, failure)
    if failure is not None:
        is_cut_off = isinstance(failure, Unreached)
        return Trial(endpoint.url, outcome_of(failure), seconds, str(failure), is_cut_off)
    endpoint.succeed()
    return Trial(endpoint.url, Outcome.OK, seconds, remark)
