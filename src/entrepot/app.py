"""The composition root of the cache: here it is known which parts stand behind the ports."""

from __future__ import annotations

import gc
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from entrepot.audit.trail import AuditTrail
from entrepot.config.bounds import bounds_on
from entrepot.config.certificates import load_pair, server_context
from entrepot.config.data_folder import is_writable
from entrepot.config.restart import waiting_for_restart
from entrepot.config.rules import pull_rules, retention_rules, tag_rules, trusted_proxies
from entrepot.config.schema import Settings
from entrepot.config.show import plain
from entrepot.engine.blobs import Blobs
from entrepot.engine.budget import Budget
from entrepot.engine.eviction import Eviction
from entrepot.engine.expiry import Expiry
from entrepot.engine.fills import Fills
from entrepot.engine.inspection import Inspection
from entrepot.engine.ledger import Ledger
from entrepot.engine.listings import Lists
from entrepot.engine.manifests import Manifests
from entrepot.engine.purging import Purging
from entrepot.engine.scrub import Scrub
from entrepot.engine.sites import Site, Sites
from entrepot.engine.tasks import Tasks
from entrepot.engine.uses import Uses
from entrepot.engine.warming import Warming
from entrepot.engine.warms import Warms
from entrepot.errors import EntrepotError, MetadataFailed
from entrepot.http.api.on_demand import ApiOnDemand
from entrepot.http.api.parts import Parts
from entrepot.http.face import Face
from entrepot.http.listening import listen_on
from entrepot.http.server.asgi import ASGIApp, Scope
from entrepot.http.server.limits import Limits
from entrepot.http.server.serve import Server
from entrepot.http.status import Status
from entrepot.http.v2.registry import Registry
from entrepot.identity.administrator import AdministratorToken
from entrepot.jobs.board import Board
from entrepot.jobs.clock import SystemClock
from entrepot.jobs.lag import sample_lag
from entrepot.jobs.upkeep import Upkeep
from entrepot.metadata.failures import MetadataLocked
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.policy.routing import UpstreamTable
from entrepot.ports.jobs import Report
from entrepot.storage.ballast import Ballast
from entrepot.storage.bookmark import FileBookmark
from entrepot.storage.disk import FilesystemDisk
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.storage.pins import FilePins
from entrepot.telemetry.events import Events
from entrepot.telemetry.lines import LineWriter
from entrepot.telemetry.log import log, log_crash, set_level
from entrepot.telemetry.metrics import Metrics
from entrepot.telemetry.trace import trace
from entrepot.upstream.on_demand import load_transport
from entrepot.upstream.registry import RegistryUpstream

__all__ = ["Application"]

_LAG_SECONDS = 1.0
_FIRST_SECONDS = 1.0


class Application:
    """All parts, put together; ``start``, then ``stop``.

    ``lines`` takes the log of requests, if one is wanted; whoever made it closes it.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        lines: LineWriter | None = None,
        events: Events | None = None,
    ) -> None:
        self._settings = self._started_with = settings
        self._folder = folder
        # Random, for caches of one host name may be chained: each knows a loop by its own word.
        self._via = f"1.1 entrepot-{secrets.token_hex(8)}"
        self._clock = SystemClock()
        self._metrics = Metrics()
        trace.dropped = self._metrics.spans_dropped().inc
        self._metrics.info(version("entrepot")).set(1)
        self._upstreams: dict[str, RegistryUpstream] = {}
        self._retired: list[RegistryUpstream] = []
        self._is_listening = False
        self._is_draining = False
        self._is_read_only = not is_writable(folder)
        self._tasks = Tasks(log_crash)
        self._store = FilesystemBlobs(folder)
        self._metadata = _open_metadata(folder)
        self._sites = Sites(*self._build_sites(settings))
        self._uses = Uses(self._metadata, self._clock)
        self._ledger = Ledger(FilesystemDisk(folder), self._metadata, self._clock)
        self._eviction = Eviction(self._store, self._metadata, self._ledger, self._uses, self._metrics)
        self._budget = Budget(
            *(self._ledger, self._eviction, self._tasks, self._clock),
            lambda total: bounds_on(total, self._settings),
        )
        self._fills = Fills(
            self._store, self._budget, self._clock, self._tasks, self._note_stored, metrics=self._metrics
        )
        self._manifests = Manifests(
            *(self._sites, self._metadata, self._uses, self._clock, self._metrics),
            memory=settings.cache.memory,
        )
        self._blobs = Blobs(self._sites, self._store, self._metadata, self._fills, self._uses)
        self._lists = Lists(self._sites, self._metadata, self._clock)
        self._warms = self._build_warms(settings)
        self._pins = FilePins(folder / "entrepot.pins")
        self._expiry = Expiry(
            *(self._sites, self._metadata, self._pins, self._clock),
            remove=self._eviction.remove,
            flush_uses=self._flush_uses,
        )
        self._eviction.protect, self._eviction.gone = self._expiry.pinned, self._manifests.forget_everywhere
        self._audit = self._build_audit(settings, lines)
        self._jobs = self._build_jobs()
        self._events = events or Events()
        tls = settings.tls
        self._tls = None if tls is None else server_context(tls.certificate, tls.key)
        self._face = self._build_face()
        limits, refused = Limits.of_process(), lambda refusal: self._metrics.refusals(refusal.status).inc()
        self._server = Server(
            self._face, tls=self._tls, limits=limits, on_error=_log_error, on_refusal=refused
        )

    async def start(self) -> None:
        await self._ledger.survey()
        if not self._is_read_only:
            self._begin_upkeep()
        addresses = await listen_on(self._server, self._settings.listen)
        self._is_listening = True
        _ = self._tasks.spawn(self._load_transport(), "load transport")
        log.info(
            "listening",
            addresses=addresses,
            scheme="http" if self._tls is None else "https",
            data=str(self._folder),
            upstreams=list(self._upstreams),
            version=version("entrepot"),
        )

    def reload(self, load: Callable[[], Settings]) -> None:
        """Take up changed settings, but for those that need a restart; keep all where they are wrong."""
        try:
            settings = load()
            self._sites.replace(*self._build_sites(settings))
        except EntrepotError as failure:
            log.error("settings_refused", reason=str(failure))
            return
        self._renew_certificate()
        set_level(settings.log.level)
        self._face.proxies = trusted_proxies(settings)
        fixed = waiting_for_restart(self._started_with, settings)
        self._settings = settings
        self._budget.trim()
        log.info("settings_reloaded", upstreams=list(self._upstreams), changed_at_restart=fixed)

    async def stop(self) -> None:
        """Let running answers finish; leave fills to be resumed; write down what is in memory."""
        self._is_draining = True
        if self._is_listening:
            log.info("draining", connections=self._server.connections)
        async with AsyncExitStack() as ending:  # Ended in reverse, each though another failed to.
            ending.callback(self._audit.close)
            ending.callback(self._face.flush)
            ending.callback(self._store.close)
            ending.callback(self._pins.close)
            ending.push_async_callback(self._metadata.close)
            for upstream in [*self._upstreams.values(), *self._retired]:
                ending.push_async_callback(upstream.close)
            ending.push_async_callback(self._uses.flush)
            ending.push_async_callback(self._manifests.record_again)
            ending.push_async_callback(self._ledger.finish)
            ending.push_async_callback(self._eviction.close)
            for part in (self._fills, self._lists, self._blobs, self._manifests, self._warms, self._tasks):
                ending.push_async_callback(part.close)
            ending.push_async_callback(self._server.stop, self._settings.drain_timeout)
        if self._is_listening:
            log.info("stopped")

    def _build_jobs(self) -> Board:
        return Upkeep(
            budget=self._budget,
            expiry=self._expiry,
            manifests=self._manifests,
            warms=self._warms,
            store=self._store,
            metadata=self._metadata,
            ledger=self._ledger,
            scrub_mark=FileBookmark(self._folder / "entrepot.scrub"),
            flush_uses=self._flush_uses,
            tidy_audit=self._audit.tidy,
            metrics=self._metrics,
            clock=self._clock,
            tasks=self._tasks,
            settings=lambda: self._settings,
        ).board()

    async def _load_transport(self) -> None:
        await self._clock.sleep(_FIRST_SECONDS)  # Beside it, the first answers would take ten times as long.
        await load_transport()
        gc.freeze()

    def _begin_upkeep(self) -> None:
        _ = self._tasks.spawn(
            sample_lag(_LAG_SECONDS, self._clock, self._metrics.loop_lag().observe), "sample lag"
        )
        _ = self._tasks.spawn(self._warms.run(), "keep warms")
        self._jobs.keep_up()

    def _renew_certificate(self) -> None:
        """Have new connections shown what the files hold by now; keep the old where that is of no use."""
        files = self._started_with.tls
        if self._tls is None or files is None:
            return
        try:
            # A pair that does not fit would cost the live context its key.
            server_context(files.certificate, files.key)
            load_pair(self._tls, files.certificate, files.key)
        except EntrepotError as failure:
            log.error("certificate_refused", reason=str(failure))

    def _build_sites(self, settings: Settings) -> tuple[UpstreamTable, Mapping[str, Site]]:
        """Make the table of upstreams; one whose settings did not change stays, connections and all."""
        before = self._settings.upstreams
        upstreams = {
            name: self._upstreams[name]
            if name in self._upstreams and before.get(name) == configured
            else RegistryUpstream(name, configured, self._clock, self._metrics, via=self._via)
            for name, configured in settings.upstreams.items()
        }
        kept = set(map(id, upstreams.values()))
        # Fills under way still read from the others.
        self._retired += [upstream for upstream in self._upstreams.values() if id(upstream) not in kept]
        self._upstreams = upstreams
        hostnames = {host: name for name, known in settings.upstreams.items() for host in known.hostnames}
        table = UpstreamTable.build(upstreams, hostnames, settings.default_upstream)
        return table, {
            name: Site(upstreams[name], tag_rules(known), pull_rules(known), retention_rules(known))
            for name, known in settings.upstreams.items()
        }

    def _build_warms(self, settings: Settings) -> Warms:
        at_once = settings.warm.concurrency
        warming = Warming(
            *(self._sites, self._manifests, self._blobs, self._lists, self._clock), at_once=at_once
        )
        bookmark = FileBookmark(self._folder / "entrepot.warms")
        return Warms(warming, self._fills, bookmark, self._clock, self._tasks, metrics=self._metrics)

    def _build_audit(self, settings: Settings, lines: LineWriter | None) -> AuditTrail:
        if lines is not None:
            lines.dropped = self._metrics.log_lines_dropped().inc
        said = lines if settings.log.access else None
        return AuditTrail(
            settings.audit, self._folder, self._clock.now, self._metrics, log=said, style=settings.log.format
        )

    def _build_face(self) -> Face:
        registry = Registry(self._sites, self._manifests, self._blobs, self._lists)
        status = Status(self._obstacle, self._warning, self._render_metrics)
        audit = self._audit if self._audit.is_wanted else None
        api = self._make_api() if self._settings.admin.enabled else None
        face = Face(registry, status, self._metrics, audit, self._clock, api=api, via=self._via)
        face.proxies = trusted_proxies(self._settings)
        return face

    def _make_api(self) -> ASGIApp:
        return ApiOnDemand(
            Parts(
                identities=AdministratorToken.open(self._settings.admin, self._folder),
                clock=self._clock,
                sites=self._sites,
                upstreams=lambda: self._upstreams,
                catalogue=self._metadata,
                manifests=self._manifests,
                inspection=Inspection(self._metadata, self._store, self._metadata),
                lists=self._lists,
                fills=self._fills,
                budget=self._budget,
                metrics=self._metrics,
                pins=self._pins,
                purging=Purging(self._metadata, self._manifests, self._blobs, self._store, self._metadata),
                scrub=Scrub(self._store, self._metadata),
                warms=self._warms,
                jobs=self._jobs,
                audit=self._audit,
                events=self._events,
                settings=lambda: plain(self._settings),
            )
        )

    async def _note_stored(self, digest: Digest, size: int) -> None:
        try:
            await self._metadata.record_stored(digest, size, self._clock.now())
        except MetadataFailed as failure:
            self._ledger.unrecorded += size
            log.warning("blob_not_recorded", digest=str(digest), reason=str(failure))

    async def _flush_uses(self) -> Report:
        await self._manifests.record_again()
        return await self._uses.flush(lambda digest: self._fills.running(digest) is not None)

    def _obstacle(self) -> str | None:
        return "draining" if self._is_draining else None

    def _warning(self) -> str | None:
        if self._is_read_only or not is_writable(self._folder):
            return "the data folder is read-only: what is not in it is passed through and not kept"
        return None

    def _render_metrics(self, content_type: str) -> bytes:
        self._metrics.connections().set(self._server.connections)
        self._budget.observe(self._metrics)
        return self._metrics.render(content_type)


def _open_metadata(folder: Path) -> SqlMetadata:
    """Open the database, on a full disk too: it needs some room for its log even to be read."""
    ballast = Ballast(folder)
    path = folder / "entrepot.db"
    if not is_writable(folder):
        log.warning("data_folder_read_only", path=str(folder), advice="make it writable, then restart")
        return SqlMetadata.visit(path)
    try:
        metadata = SqlMetadata.open(path)
    except MetadataLocked:  # More room is of no use then.
        raise
    except MetadataFailed:
        if not ballast.throw_off():
            raise
        log.warning("ballast_thrown_off", path=str(path), advice="free some space on the disk")
        return SqlMetadata.open(path)
    ballast.take()
    return metadata


def _log_error(scope: Scope, error: Exception) -> None:
    log.error("request_failed", method=scope["method"], path=scope["path"], exc_info=error)
