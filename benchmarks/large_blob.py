"""Has the cache carry one blob of 40 GiB, through a kill -9 in its middle: ``scripts/bench large-blob``.

The upstream's file is sparse, with a mark wherever numbers of so many bytes may go wrong: only the
cache's own copy takes the disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread

from benchmarks.content import MANIFEST_TYPE, REPOSITORY, Content, Sizes, write_manifest
from benchmarks.nginx import Nginx
from benchmarks.promises import Promise, as_table, broken
from benchmarks.soak.folder import sizes
from benchmarks.usage import peak_resident, processor_seconds

from entrepot.oci.digest import Digest
from entrepot.testing.exchange import Download, ask
from entrepot.testing.programs import CacheProgram

_RESULTS = Path(__file__).parent / "results"
_MIB = 1 << 20
_GIB = 1 << 30
_MARK_EVERY = 64 * _MIB
_PIECE = 1 * _MIB
_SAMPLE_SECONDS = 0.5
_LONGEST = 600.0
"""Seconds: so many bytes are not synced at once."""
_SLACK = 1.05
_AGAIN = 64 * _MIB
"""Bytes that were on their way when the cache was killed come twice."""
_MEMORY = 200
"""MiB."""


@dataclass(frozen=True, slots=True)
class Blob:
    digest: Digest
    size: int

    @property
    def path(self) -> str:
        return f"/v2/{REPOSITORY}/blobs/{self.digest}"


@dataclass(slots=True)
class Figures:
    """Bytes and seconds."""

    size: int
    older: int
    budget: int
    fetched: int = 0
    most_on_disk: int = 0
    most_memory: int = 0
    first_byte_after_kill: float = 0.0
    cold: float = 0.0
    cold_cpu: float = 0.0
    warm: float = 0.0
    cold_is_right: bool = False
    warm_is_right: bool = False
    load: float = 0.0

    def promises(self) -> list[Promise]:
        fetched, most = self.fetched / self.size, self.most_on_disk / self.budget
        memory = self.most_memory / _MIB
        hashed, room = f"SHA-256 of {self.size:,} bytes", f"at most {most:.3f} x the budget"
        return [
            Promise("It is right after a kill -9 in its middle", hashed, self.cold_is_right),
            Promise("It is right from the cache alone", hashed, self.warm_is_right),
            Promise("Nothing is fetched twice", f"{fetched:.3f} x", self.fetched - self.size <= _AGAIN),
            Promise("Older content makes room before it grows", room, most <= _SLACK),
            Promise(f"Memory stays below {_MEMORY} MiB", f"{memory:.0f} MiB", memory < _MEMORY),
        ]

    def lines(self) -> list[str]:
        """Return them as Markdown."""
        cold, warm = (self.size / seconds / 1e6 for seconds in (self.cold, self.warm))
        return [
            f"# One blob of {self.size / _GIB:.0f} GiB",
            "",
            "Written by `scripts/bench large-blob`. The cache is killed when half has come, and starts anew.",
            f"Of its budget of {self.budget / _GIB:.1f} GiB older content holds {self.older / _GIB:.1f} GiB.",
            "",
            *as_table(self.promises()),
            "",
            f"Cold: {self.cold:.0f} s ({cold:,.0f} MB/s), {self.cold_cpu:.0f} s of CPU.",
            f"The first byte after the kill came in {self.first_byte_after_kill:.1f} s.",
            f"Warm: {self.warm:.0f} s ({warm:,.0f} MB/s). The client hashes, too.",
            f"Other work took {self.load:.1f} of {os.cpu_count()} cores: times are what they are beside it.",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=40, help="GiB (default: 40)")
    parser.add_argument("--work", type=Path, help="folder with room for it (default: the system's own)")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="entrepot-large-", dir=options.work) as name:
        figures = _measure(Path(name), int(options.size * _GIB))
    (options.out / "large-blob.json").write_text(json.dumps(asdict(figures), indent=2) + "\n")
    (options.out / "large-blob.md").write_text("\n".join(figures.lines()) + "\n")
    print(*figures.lines(), sep="\n")
    if claims := broken(figures.promises()):
        sys.exit(f"not kept: {'; '.join(claims)}")


def _measure(folder: Path, size: int) -> Figures:
    print("Making the upstream's content ...")
    root = folder / "upstream"
    older, large = _write_sparse(root, "older", size * 3 // 8), _write_sparse(root, "large", size)
    figures = Figures(size, older.size, budget=size * 5 // 4, load=os.getloadavg()[0])
    manifest = write_manifest(root, {blob.digest: blob.size for blob in (older, large)})
    content = Content(root, manifest, {}, Sizes())
    with Nginx(folder / "nginx", content) as nginx:
        upstreams, bound = {"docker.io": nginx.upstream_url}, {"max_size": figures.budget}
        cache = CacheProgram(folder / "cache", upstreams, cache=bound)
        with _watched(cache.data, figures):
            _carry(cache, older, large, figures)
        figures.fetched = nginx.bytes_sent(str(large.digest))
    return figures


def _carry(cache: CacheProgram, older: Blob, large: Blob, figures: Figures) -> None:
    with cache:
        print("Pulling the manifest, and what is older ...")
        ask(cache.url, f"/v2/{REPOSITORY}/manifests/1", headers={"Accept": MANIFEST_TYPE})
        _pull(cache, older)
        cache.wait_for_fills(_LONGEST)
        print("Pulling the large one, to its middle ...")
        began = time.perf_counter()
        _pull(cache, large, until=large.size // 2)
        _note_usage(cache, figures)
        cache.kill()
    figures.cold = time.perf_counter() - began
    with cache:
        print("Pulling it whole ...")
        began = time.perf_counter()
        with Download(cache.url, large.path, within=_LONGEST) as download:
            download.read(1)
        figures.first_byte_after_kill = time.perf_counter() - began
        figures.cold_is_right = _pull(cache, large)
        figures.cold += time.perf_counter() - began
        cache.wait_for_fills(_LONGEST)
        _note_usage(cache, figures)
        print("Pulling it again ...")
        began = time.perf_counter()
        figures.warm_is_right = _pull(cache, large)
        figures.warm = time.perf_counter() - began


def _pull(cache: CacheProgram, blob: Blob, until: int | None = None) -> bool:
    """Read it to its end, or to a place in it; tell whether it is whole and its digest right."""
    hasher, left = hashlib.sha256(), blob.size if until is None else until
    with Download(cache.url, blob.path, within=_LONGEST) as download:
        while left and (piece := download.read(min(_PIECE, left))):
            hasher.update(piece)
            left -= len(piece)
    return not left and hasher.hexdigest() == blob.digest.hex


@contextmanager
def _watched(data: Path, figures: Figures) -> Iterator[None]:
    """Note the most that the data folder ever takes of the disk."""
    stop = Event()

    def watch() -> None:
        while not stop.wait(_SAMPLE_SECONDS):
            figures.most_on_disk = max(figures.most_on_disk, sizes(data).total)

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _note_usage(cache: CacheProgram, figures: Figures) -> None:
    figures.most_memory = max(figures.most_memory, peak_resident(cache.pid))
    figures.cold_cpu += processor_seconds(cache.pid)


def _write_sparse(root: Path, name: str, size: int) -> Blob:
    """Write what no other place has at many places, and holes between; name it by its digest."""
    folder = root / "v2" / REPOSITORY / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    hasher, hole, part = hashlib.sha256(), bytes(_PIECE), folder / "part"
    with part.open("wb") as file:
        for place in range(0, size, _PIECE):
            piece = hole[: size - place]
            if place % _MARK_EVERY == 0:
                piece = hashlib.shake_128(f"{name} {place}".encode()).digest(len(piece))
                os.pwrite(file.fileno(), piece, place)
            hasher.update(piece)
        file.truncate(size)
    digest = Digest("sha256", hasher.hexdigest())
    part.rename(folder / str(digest))
    return Blob(digest, size)


if __name__ == "__main__":
    main()
