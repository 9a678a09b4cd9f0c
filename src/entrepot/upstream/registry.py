"""The port ``Upstream`` for real registries."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, asynccontextmanager

from entrepot.config.schema import UpstreamSettings
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Reference
from entrepot.ports.clock import Clock
from entrepot.ports.condition import Condition, EndpointCondition, Trial
from entrepot.ports.upstream import BlobOrigin, BlobStream, Breaker, FetchedManifest, ManifestHead
from entrepot.telemetry.metrics import Metrics
from entrepot.upstream import blobs, listings, manifests
from entrepot.upstream.authorizer import Authorizer
from entrepot.upstream.client import Client
from entrepot.upstream.credentials import credential_source
from entrepot.upstream.endpoint import Endpoint
from entrepot.upstream.failover import Failover
from entrepot.upstream.observer import Observer
from entrepot.upstream.on_demand import TransportOnDemand
from entrepot.upstream.standing import Standing
from entrepot.upstream.tokens import Tokens
from entrepot.upstream.trial import try_endpoint

__all__ = ["RegistryUpstream"]


class RegistryUpstream:
    """Dials nobody and reads no more than the files of its TLS settings until it is asked.

    Raises ``SettingsInvalid`` when those files, or an endpoint's URL, are of no use.
    """

    def __init__(
        self,
        name: str,
        settings: UpstreamSettings,
        clock: Clock,
        metrics: Metrics,
        chance: Callable[[], float] = random.random,
        *,
        via: str | None = None,
    ) -> None:
        """``chance`` gives numbers in [0, 1), which spread retries; ``via`` tells upstreams who asks."""
        endpoints = [
            Endpoint(url, clock, settings.max_connections)
            for url in settings.endpoints or (f"https://{name}",)
        ]
        hosts = [endpoint.host for endpoint in endpoints]
        observer = Observer(name, metrics)
        for endpoint in endpoints:
            observer.watch(endpoint)
        self._transport = TransportOnDemand(settings, frozenset(hosts), via)
        self._tokens = Tokens(self._transport, clock)
        credentials = credential_source(name, hosts, settings, clock)
        self._standing = Standing(has_credential=_has_credential(settings))
        self._endpoints = endpoints
        self._clock = clock

        def connect(tokens: Tokens) -> Client:
            authorizer = Authorizer(tokens, credentials, settings.token_hosts, self._standing)
            return Client(self._transport, authorizer, observer, clock, self._standing)

        self._connect = connect
        self._client = connect(self._tokens)
        self._failover = Failover(endpoints, clock, chance)

    @property
    def breaker(self) -> Breaker:
        return self._failover

    async def head_manifest(self, repository: str, reference: Reference) -> ManifestHead:
        return await self._failover.run(
            lambda endpoint: manifests.head_manifest(self._client, endpoint, repository, reference)
        )

    async def get_manifest(self, repository: str, reference: Reference) -> FetchedManifest:
        return await self._failover.run(
            lambda endpoint: manifests.get_manifest(self._client, endpoint, repository, reference)
        )

    async def head_blob(self, repository: str, digest: Digest) -> int | None:
        return await self._failover.run(
            lambda endpoint: blobs.head_blob(self._client, endpoint, repository, digest)
        )

    @asynccontextmanager
    async def open_blob(
        self,
        repository: str,
        digest: Digest,
        start: int = 0,
        stop: int | None = None,
        *,
        whole_of: AbstractSet[BlobOrigin] = frozenset(),
    ) -> AsyncIterator[BlobStream]:
        """Fail over until the head of an answer has come; whoever reads on resumes by asking again."""
        async with AsyncExitStack() as stack:

            def opening(endpoint: Endpoint) -> Awaitable[BlobStream]:
                first, end = (0, None) if endpoint in whole_of else (start, stop)
                return stack.enter_async_context(
                    blobs.open_blob(self._client, endpoint, repository, digest, start=first, stop=end)
                )

            yield await self._failover.run(opening, is_last=lambda endpoint: not endpoint.trusts_blob(digest))

    async def tags(self, repository: str) -> list[str]:
        return await self._failover.run(
            lambda endpoint: listings.list_tags(self._client, endpoint, repository)
        )

    async def repositories(self) -> list[str]:
        return await self._failover.run(lambda endpoint: listings.list_repositories(self._client, endpoint))

    async def referrers(self, repository: str, digest: Digest) -> bytes:
        return await self._failover.run(
            lambda endpoint: listings.list_referrers(self._client, endpoint, repository, digest)
        )

    def condition(self) -> Condition:
        endpoints = [
            EndpointCondition(one.url, one.health, one.retry_after, one.is_rate_limited, one.last_failure)
            for one in self._endpoints
        ]
        standing = self._standing
        return Condition(
            endpoints, standing.credential, standing.refusal, standing.budget, standing.clock_ahead
        )

    async def try_out(self) -> list[Trial]:
        # It has no token and knows no challenge, so that it finds out what the credential is worth now.
        client = self._connect(Tokens(self._transport, self._clock))
        has_credential = self._standing.has_credential
        async with asyncio.TaskGroup() as group:
            trials = [
                group.create_task(try_endpoint(client, endpoint, self._clock, has_credential=has_credential))
                for endpoint in self._endpoints
            ]
        return [trial.result() for trial in trials]

    async def close(self) -> None:
        """Close every connection; what is still running fails."""
        await self._tokens.close()
        await self._transport.close()


def _has_credential(settings: UpstreamSettings) -> bool:
    return any((settings.username, settings.credential_helper, settings.docker_config))
