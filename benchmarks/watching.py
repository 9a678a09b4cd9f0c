"""What watching costs, by part, to collectors that take all of it: ``scripts/bench watching [--turns N]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.content import MANIFEST_TYPE, Sizes, write_content
from benchmarks.load import requests_per_second
from benchmarks.nginx import Nginx
from benchmarks.usage import processor_seconds, signal_all

from entrepot.testing.exchange import ask
from entrepot.testing.ports import free_port
from entrepot.testing.programs import CacheProgram, Program

__all__ = ["UNWATCHED", "Collectors", "alone", "watched"]

UNWATCHED: Mapping[str, Any] = {"log": {"access": False}, "audit": {"enabled": False}}
_RESULTS = Path(__file__).parent / "results"
_SYNC = {"name": "x", "upstream": "docker.io", "repositories": ["x"], "semver": "^1", "schedule": "0 3 * * *"}
_SINK = """
import selectors, socket
known, buffer = selectors.DefaultSelector(), bytearray(1 << 20)
listening = socket.create_server(("127.0.0.1", {port}))
known.register(listening, selectors.EVENT_READ)
while True:
    for key, _ in known.select():
        if key.fileobj is listening:
            known.register(listening.accept()[0], selectors.EVENT_READ)
        elif not key.fileobj.recv_into(buffer):
            known.unregister(key.fileobj)
            key.fileobj.close()
"""
_INTRODUCTION = """\
# What watching costs

A warm manifest by tag: medians of {turns} turns of a second each, the parts in turn, on {cores} cores
(load {load:.1f}). While one is asked, the others are stopped; lines are being forwarded all the time.
Collectors take all they are sent, beside the cache: syslog over TCP, a webhook and traces over HTTP.
Hits are traced as they are if not said otherwise: ten a second.

| on | answers/s | speed kept | processor time an answer | lines forwarded/s |
| --- | --- | --- | --- | --- |
"""


class Collectors:
    """They take what they are sent and forget it: syslog over TCP, a webhook and traces at nginx.

    They are programs of their own, so that what they take of the processors is not the cache's.
    """

    def __init__(self, folder: Path, nginx: Nginx) -> None:
        port = free_port()
        self.syslog = f"tcp://127.0.0.1:{port}"
        self.webhook = f"{nginx.collector_url}/events"
        self.otlp = nginx.collector_url
        self.program = Program([sys.executable, "-c", _SINK.format(port=port)], folder / "syslog.log")


@dataclass(frozen=True, slots=True)
class Effort:
    """Seconds of a processor that an answer takes, answers in a second, and lines sent on in that."""

    seconds: float
    speed: float
    forwarded: float


def watched(collectors: Collectors) -> Mapping[str, Any]:
    """Return settings with all on that watches, as it is if not said otherwise."""
    return {
        "audit": {"syslog": collectors.syslog, "webhook": {"url": collectors.webhook}},
        "telemetry": {"otlp_endpoint": collectors.otlp},
        "sync": [_SYNC],
    }


@contextmanager
def alone(cache: CacheProgram, among: Iterable[CacheProgram]) -> Iterator[None]:
    """Stop all processes of the others for as long: what they do behind answers is not this one's cost."""
    others = [other for other in among if other is not cache]
    for other in others:
        signal_all(other.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            signal_all(other.pid, signal.SIGCONT)


def _measure(cache: CacheProgram, path: str) -> Effort:
    """Ask for a second; what was forwarded within it are lines of all that was asked before, too."""
    seconds, lines = processor_seconds(cache.pid), _forwarded(cache)
    speed = requests_per_second(cache.url, path)
    return Effort((processor_seconds(cache.pid) - seconds) / speed, speed, _forwarded(cache) - lines)


def _forwarded(cache: CacheProgram) -> float:
    return sum(cache.values("entrepot_audit_forwarded_lines_total"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=25, help="of a second each, of every part in turn")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="entrepot-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        content = write_content(folder / "content", Sizes(*[1 << 10] * len(Sizes.__slots__)))
        nginx = stack.enter_context(Nginx(folder / "nginx", content))
        collectors = Collectors(folder, nginx)
        stack.enter_context(collectors.program)
        caches = {
            part: stack.enter_context(_warm(folder / str(number), nginx, content.tag_path, settings))
            for number, (part, settings) in enumerate(_parts(collectors).items())
        }
        turns = list(_turns(caches, content.tag_path, options.turns))
    lines = _report(turns)
    (options.out / "watching.md").write_text("\n".join(lines) + "\n")
    print(*lines, sep="\n")


def _parts(collectors: Collectors) -> dict[str, Mapping[str, Any]]:
    everything = watched(collectors)
    audit = everything["audit"]
    return {
        "neither log nor audit log": UNWATCHED,
        "log and audit log": {},
        "and syslog": {"audit": {"syslog": audit["syslog"]}},
        "and a webhook": {"audit": {"webhook": audit["webhook"]}},
        "and traces": {"telemetry": everything["telemetry"]},
        "all of it": everything,
    }


@contextmanager
def _warm(folder: Path, nginx: Nginx, path: str, settings: Mapping[str, Any]) -> Iterator[CacheProgram]:
    upstream = {"endpoints": [nginx.upstream_url], "freshness": {"fresh_for": "1d"}}
    with CacheProgram(folder, {"docker.io": upstream}, **settings) as cache:
        reply = ask(cache.url, path, headers={"Accept": MANIFEST_TYPE})
        if reply.status != 200:
            raise RuntimeError(f"GET {path} got {reply.status}")
        _measure(cache, path)  # And there is something to forward from here on.
        yield cache


def _turns(caches: Mapping[str, CacheProgram], path: str, turns: int) -> Iterator[dict[str, Effort]]:
    for number in range(turns):
        print(f"  turn {number + 1} of {turns}", flush=True)
        efforts = {}
        for part, cache in caches.items():
            with alone(cache, caches.values()):
                efforts[part] = _measure(cache, path)
        yield efforts


def _report(turns: Sequence[Mapping[str, Effort]]) -> list[str]:
    unwatched = next(iter(turns[0]))
    rows = [
        *_INTRODUCTION.format(turns=len(turns), cores=os.cpu_count(), load=os.getloadavg()[1]).splitlines()
    ]
    for part in turns[0]:
        seconds, speed, forwarded = (
            median(getattr(turn[part], name) for turn in turns) for name in Effort.__slots__
        )
        kept = median(turn[part].speed / turn[unwatched].speed for turn in turns)
        rows.append(f"| {part} | {speed:,.0f} | {kept:.2f} | {seconds * 1e6:.1f} us | {forwarded:,.0f} |")
    return rows


if __name__ == "__main__":
    main()
