"""What is said on standard error reaches it, and nobody waits for who does not read it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram
from entrepot.testing.waiting import PATIENCE, wait_until

PIPE = 64 << 10
HELD = 8 << 20
AGENT = "x" * 6000
PATH = "/v2/library/app/manifests/1"


def _dropped(cache: CacheProgram) -> float:
    (value,) = cache.values("entrepot_log_lines_dropped_total")
    return value


def _has_grown(log: Path, size: int) -> bool:
    return "settings_reloaded" in log.read_text()[size:]


def test_a_cache_whose_standard_error_nobody_reads_serves_reloads_counts_and_ends(
    folder: Path, upstream: FakeRegistry
) -> None:
    image = upstream.content.add_image("library/app", "1")
    cache = CacheProgram(folder / "cache", {"docker.io": upstream.url})
    cache.log = folder / "pipe"
    os.mkfifo(cache.log)
    unread = os.open(cache.log, os.O_RDWR)
    try:
        with cache:
            for _ in range((PIPE + HELD) // len(AGENT) + 100):
                assert ask(cache.url, PATH, headers={"User-Agent": AGENT}).body == image.content
            assert _dropped(cache) > 0
            cache.config.write_text("upstreams: 1\n")
            cache.reload()
            assert ask(cache.url, PATH).body == image.content
            assert cache.stop() == 0
    finally:
        os.close(unread)


def test_a_cache_whose_standard_streams_are_closed_serves_and_ends(
    folder: Path, upstream: FakeRegistry
) -> None:
    image = upstream.content.add_image("library/app", "1")
    cache = CacheProgram(folder / "cache", {"docker.io": upstream.url})
    cache.arguments = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *cache.arguments]
    with cache:
        assert ask(cache.url, PATH).body == image.content
        streams = [str(Path(f"/proc/{cache.pid}/fd/{number}").readlink()) for number in range(3)]
        assert streams == [os.devnull] * 3
        assert cache.stop() == 0


def test_the_last_line_before_the_end_is_written(cache: CacheProgram) -> None:
    cache.stop()
    lines = [json.loads(line)["event"] for line in cache.log.read_text().splitlines()]
    assert lines[-2:] == ["draining", "stopped"]


def test_lines_of_events_and_of_requests_keep_their_order(cache: CacheProgram) -> None:
    for number in range(3):
        ask(cache.url, f"/v2/none.example.test/{number}/manifests/1")
        size = cache.log.stat().st_size
        cache.reload()
        wait_until(partial(_has_grown, cache.log, size), "a line of the reload")
    cache.signal(signal.SIGTERM)
    wait_until(lambda: not cache.running, "the end")
    lines = [json.loads(line) for line in cache.log.read_text().splitlines()]
    told = [line for line in lines if "none.example" in line.get("path", "") or "reload" in line["event"]]
    assert [line["event"] for line in told] == ["request", "settings_reloaded"] * 3


def test_a_start_that_fails_says_why_before_it_ends(folder: Path, cache: CacheProgram) -> None:
    command = [sys.executable, "-m", "entrepot", "serve", "--data", str(folder / "other")]
    done = subprocess.run(
        [*command, "--listen", f"127.0.0.1:{cache.port}"], capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "Address already in use: stop what serves there" in done.stderr.decode().splitlines()[-1]
