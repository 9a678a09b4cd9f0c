"""Runs the measurements: contestants take turns in each round, so that the machine's moods hit all alike."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.content import MANIFEST_TYPE, Content
from benchmarks.load import download_speed, download_together, requests_per_second
from benchmarks.nginx import Nginx
from benchmarks.table import ENTREPOT, NGINX, REGISTRY
from benchmarks.usage import peak_resident, proportional_size
from benchmarks.watching import UNWATCHED, Collectors, alone, watched

from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram, RegistryProgram
from entrepot.testing.registry_auth import BearerAuth
from entrepot.testing.registry_content import Image
from entrepot.testing.registry_wire import Fault

__all__ = ["Contest"]

Cache = CacheProgram | RegistryProgram

_FAILURES = (RuntimeError, OSError, subprocess.SubprocessError)
_LAYERS = [bytes([number]) * 100_000 for number in range(7)]
_TAG = "/v2/library/bench/manifests/1"
_WATCHERS = ("/metrics", "/api/v1/upstreams", "/api/v1/warms", "/api/v1/docs/openapi.json")
"""What has been asked for once has loaded all that it needs."""
_ASKED_UNTIL_KNOWN = 5
_ASKED_ONCE_KNOWN = 20


class Contest:
    """``samples`` and ``failures`` are filled as the measurements run."""

    def __init__(self, folder: Path, content: Content, nginx: Nginx) -> None:
        self.samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.failures: list[str] = []
        self._folder = folder
        self._content = content
        self._nginx = nginx
        self._numbers = itertools.count()

    def run(self, rounds: int, seconds: int) -> None:
        self._compare_warm(rounds, seconds)
        for _ in range(rounds):
            for name in (NGINX, ENTREPOT, REGISTRY):
                self._note("cold", name, partial(self._cold_download, name))
            for name in (NGINX, ENTREPOT):
                self._note("cold tls", name, partial(self._cold_tls_download, name))
        for name in (ENTREPOT, REGISTRY):
            self._note("herd", name, partial(self._herd, name))
            self._note("first", name, partial(self._first_pull, name))
            self._note("idle", name, partial(self._idle_memory, name))
        self._compare_watched(rounds)
        self._note("idle", NGINX, partial(proportional_size, self._nginx.pid))
        self._note("crowd", ENTREPOT, partial(self._crowd, ENTREPOT))
        self._hung_upstream()

    def _note(self, row: str, name: str, measure: Callable[[], float]) -> None:
        """Keep what was measured; what failed is a failure in the table, and the rest goes on."""
        print(f"  {row:8} {name:14}", end="", flush=True)
        try:
            value = measure()
        except _FAILURES as failure:
            print("          FAILED")
            self.failures.append(f"{row}, {name}: {failure}")
            return
        print(f"{value:16,.2f}")
        self.samples[row][name].append(value)

    # Warm: everything has been pulled once.

    def _compare_warm(self, rounds: int, seconds: int) -> None:
        with self._fresh(ENTREPOT) as entrepot, self._fresh(REGISTRY) as registry:
            urls = {ENTREPOT: entrepot.url, REGISTRY: registry.url, NGINX: self._nginx.url}
            for url in urls.values():
                self._warm_up(url, ["small", "large"])
            for name in (ENTREPOT, REGISTRY):
                self._note("warm", name, partial(self._warm_tags, urls[name]))
            for _ in range(rounds):
                self._warm_round(urls, seconds)

    def _warm_round(self, urls: Mapping[str, str], seconds: int) -> None:
        content = self._content
        paths = {
            "tag": content.tag_path,
            "digest": content.manifest_path,
            "small": content.blob_path("small"),
        }
        for row, path in paths.items():
            self._take_turns(row, urls, path, seconds)
        path, size = content.blob_path("large"), content.size("large")
        for name, url in urls.items():
            self._note("large", name, partial(download_speed, url + path, size, 4))

    def _take_turns(self, row: str, urls: Mapping[str, str], path: str, turns: int) -> None:
        """Ask each for a second, for the moods of a machine last longer: what is compared is near."""
        for _ in range(turns):
            for name, url in urls.items():
                self._note(row, name, partial(requests_per_second, url, path))

    def _warm_up(self, url: str, blobs: Sequence[str]) -> None:
        for path in (self._content.tag_path, self._content.manifest_path):
            _manifest(url, path)
        for name in blobs:
            download_speed(url + self._content.blob_path(name), self._content.size(name))

    def _warm_tags(self, url: str) -> float:
        _manifest(url, self._content.tag_path)
        before = self._nginx.requests()
        for _ in range(10):
            _manifest(url, self._content.tag_path)
        return self._nginx.requests() - before

    # Cold: a program and a folder that know nothing.

    def _cold_download(self, name: str) -> float:
        path, size = self._content.blob_path("cold"), self._content.size("cold")
        if name == NGINX:
            return download_speed(self._nginx.upstream_url + path, size)
        with self._fresh(name) as cache:
            return self._first_blob(cache, path, size)

    def _cold_tls_download(self, name: str) -> float:
        """As that, of an upstream that encrypts, as nearly all do."""
        path, size, nginx = self._content.blob_path("cold"), self._content.size("cold"), self._nginx
        if name == NGINX:
            return download_speed(nginx.tls_url + path, size, authority=nginx.authority)
        with self._fresh(name, {"endpoints": [nginx.tls_url], "ca_file": str(nginx.authority)}) as cache:
            return self._first_blob(cache, path, size)

    def _first_blob(self, cache: Cache, path: str, size: int) -> float:
        """Ask for a manifest first, as clients do: what a program loads for its first pull is no speed."""
        _manifest(cache.url, self._content.tag_path)
        return download_speed(cache.url + path, size)

    def _herd(self, name: str) -> float:
        path, size = self._content.blob_path("herd"), self._content.size("herd")
        before = self._nginx.bytes_sent(path)
        with self._fresh(name) as cache:
            download_together(cache.url + path, size, 50)
        return (self._nginx.bytes_sent(path) - before) / size

    def _idle_memory(self, name: str) -> float:
        with self._fresh(name) as cache:
            _manifest(cache.url, self._content.tag_path)
            return proportional_size(cache.pid)

    def _crowd(self, name: str) -> float:
        with self._fresh(name) as cache:
            download_together(cache.url + self._content.blob_path("crowd"), self._content.size("crowd"), 200)
            return peak_resident(cache.pid)

    # With all that watches, to collectors that take it.

    def _compare_watched(self, rounds: int) -> None:
        collectors = Collectors(self._folder, self._nginx)
        settings = watched(collectors)
        with collectors.program:
            with self._fresh(ENTREPOT, **settings) as everything:
                _manifest(everything.url, self._content.tag_path)
                for path in _WATCHERS:
                    _look_at(everything, path)
                self._note("on idle", ENTREPOT, partial(proportional_size, everything.pid))
                urls = {NGINX: self._nginx.url, ENTREPOT: everything.url}
                self._take_turns("tag on", urls, self._content.tag_path, rounds)
            for _ in range(rounds):
                self._compare_pair(settings)

    def _compare_pair(self, settings: Mapping[str, Any]) -> None:
        """Start both anew: those that are alike differ by a tenth, by where in memory they happen to lie."""
        with self._fresh(ENTREPOT, **settings) as everything, self._fresh(ENTREPOT, **UNWATCHED) as nothing:
            for cache in (nothing, everything):
                self._warm_up(cache.url, ["small"])
            # So that there is what to send.
            requests_per_second(everything.url, self._content.tag_path)
            for row, paths in (("watched", [self._content.tag_path]), ("watched pull", self._pulled())):
                for _ in range(6):
                    self._note(row, ENTREPOT, partial(self._watched_share, nothing, everything, paths))

    def _pulled(self) -> Sequence[str]:
        """Return what is asked for an image of small layers: of large ones, less of a pull is watched."""
        content = self._content
        return [content.tag_path, content.manifest_path, *[content.blob_path("small")] * 4]

    def _watched_share(self, nothing: Cache, everything: Cache, paths: Sequence[str]) -> float:
        """Return which share of the speed is left."""
        both = [cache for cache in (nothing, everything) if isinstance(cache, CacheProgram)]
        speeds = []
        for cache in both:
            with alone(cache, both):
                speeds.append(requests_per_second(cache.url, *paths))
        return speeds[1] / speeds[0]

    # Before an upstream that counts and misbehaves.

    def _first_pull(self, name: str) -> float:
        with FakeRegistry.in_thread(auth=BearerAuth()) as upstream:
            image = upstream.content.add_image("library/bench", "1", layers=_LAYERS)
            with self._fresh(name, upstream.url) as cache:
                _pull(cache.url, image)
            return upstream.count()

    def _hung_upstream(self) -> None:
        with FakeRegistry.in_thread() as upstream:
            upstream.content.add_image("library/bench", "1", layers=_LAYERS)
            settings: dict[str, object] = {"endpoints": [upstream.url], "freshness": {"fresh_for": "0s"}}
            with self._fresh(ENTREPOT, settings) as cache:
                _slowest(cache.url, 1)
                upstream.misbehave("any", Fault(hang_before_head=True))
                self._note("hung", ENTREPOT, partial(_slowest, cache.url, 1))
                _slowest(cache.url, _ASKED_UNTIL_KNOWN)
                self._note("known", ENTREPOT, partial(_slowest, cache.url, _ASKED_ONCE_KNOWN))

    @contextmanager
    def _fresh(
        self, name: str, upstream: str | dict[str, object] | None = None, **settings: Any
    ) -> Iterator[Cache]:
        """Run a contestant with nothing cached; nothing of it is left."""
        folder = self._folder / f"{name}-{next(self._numbers)}"
        source = upstream or self._nginx.upstream_url
        try:
            with _contestant(name, folder, source, settings) as cache:
                yield cache
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _contestant(
    name: str, folder: Path, upstream: str | dict[str, object], settings: Mapping[str, Any]
) -> Cache:
    if name == ENTREPOT:
        return CacheProgram(folder, {"docker.io": upstream}, **settings)
    return RegistryProgram(folder, remote=str(upstream))


def _pull(url: str, image: Image) -> None:
    """Ask what a client asks at its first pull: the tag's digest, the manifest, the blobs."""
    _manifest(url, _TAG, "HEAD")
    _manifest(url, f"/v2/library/bench/manifests/{image.digest}")
    replies = [ask(url, f"/v2/library/bench/blobs/{digest}") for digest in (image.config, *image.layers)]
    if not all(reply.status == 200 and reply.whole for reply in replies):
        raise RuntimeError(f"a pull got {[reply.status for reply in replies]}")


def _manifest(url: str, path: str, method: str = "GET") -> None:
    reply = ask(url, path, method=method, headers={"Accept": MANIFEST_TYPE})
    if reply.status != 200:
        raise RuntimeError(f"{method} {path} got {reply.status}")


def _look_at(cache: Cache, path: str) -> None:
    token = (Path(cache.log).parent / "data/admin-token").read_text().strip()
    reply = ask(cache.url, path, headers={"Authorization": f"Bearer {token}"})
    if reply.status != 200:
        raise RuntimeError(f"GET {path} got {reply.status}")


def _slowest(url: str, times: int) -> float:
    """Ask for a cached tag ``times`` times in turn; return the longest wait in seconds."""
    waits = []
    for _ in range(times):
        started = time.perf_counter()
        _manifest(url, _TAG)
        waits.append(time.perf_counter() - started)
    return max(waits)
