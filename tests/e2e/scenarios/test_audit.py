"""What was asked is kept: through ends of every kind, on disks of every kind, and at collectors."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrepot.testing.exchange import Download, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram, children, has_ended
from entrepot.testing.waiting import PATIENCE, wait_until

PATH = "/v2/library/app/manifests/1"


def _kept(folder: Path) -> list[dict[str, Any]]:
    """Return the whole lines of requests for content."""
    text = "".join(path.read_text() for path in sorted(folder.glob("*.jsonl")))
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if "repository" in line]


def _agents(folder: Path) -> list[str]:
    return [line["user_agent"] for line in _kept(folder)]


def _ask(cache: CacheProgram, agent: str) -> int:
    return ask(cache.url, PATH, headers={"User-Agent": agent}).status


def test_a_line_tells_who_asked_what_when_and_how_it_was_answered(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    image = upstream.content.add_image("library/app", "1")
    _ask(cache, "test/1")
    _ask(cache, "test/1")
    cache.stop()
    first, second = _kept(cache.data / "audit")
    assert first["time"] <= second["time"]
    assert (first["cache"], second["cache"]) == ("miss", "hit")
    assert (
        first.items()
        >= {
            "event": "request",
            "remote": "127.0.0.1",
            "user_agent": "test/1",
            "method": "GET",
            "path": PATH,
            "upstream": "docker.io",
            "repository": "library/app",
            "reference": "1",
            "digest": str(image.digest),
            "status": 200,
            "size": len(image.content),
        }.items()
    )
    assert first["duration_seconds"] > 0


def test_a_line_tells_how_much_a_client_was_sent_before_it_left(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    content = bytes(64 << 20)
    (layer,) = upstream.content.add_image("library/app", "1", layers=[content]).layers
    path = f"/v2/library/app/blobs/{layer}"
    assert ask(cache.url, path).whole
    cache.wait_for_fills()
    with Download(cache.url, path) as download:
        assert len(download.read(1 << 20)) == 1 << 20
    wait_until(lambda: len(_kept(cache.data / "audit")) == 2, "its line")
    whole, part = _kept(cache.data / "audit")
    assert (whole["size"], "reason" in whole) == (len(content), False)
    assert 1 << 20 <= part["size"] < len(content)
    assert (part["cache"], part["reason"]) == ("hit", "the client left")
    sent = cache.series()['entrepot_sent_bytes_total{kind="blob",upstream="docker.io"}']
    assert sent == whole["size"] + part["size"]


def test_a_line_tells_how_much_was_sent_of_what_needs_no_whole_answer(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    content = bytes(range(256)) * 4
    (layer,) = upstream.content.add_image("library/app", "1", layers=[content]).layers
    path = f"/v2/library/app/blobs/{layer}"
    ask(cache.url, path)
    ask(cache.url, path, method="HEAD")
    ask(cache.url, path, headers={"Range": "bytes=0-9"})
    ask(cache.url, path, headers={"If-None-Match": f'"{layer}"'})
    refused = ask(cache.url, path, headers={"Range": "bytes=5000-"})
    cache.stop()
    told = [(line["status"], line["size"]) for line in _kept(cache.data / "audit")]
    assert told == [(200, len(content)), (200, 0), (206, 10), (304, 0), (416, len(refused.body))]


def test_who_asks_is_whom_a_trusted_proxy_names_and_nobody_else(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> None:
    upstream.content.add_image("library/app", "1")
    cache = launch(
        CacheProgram(folder / "cache", {"docker.io": upstream.url}, trusted_proxies=["127.0.0.0/8"])
    )
    token = (cache.data / "admin-token").read_text().strip()
    behind = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7, 127.0.0.2", "Authorization": f"Bearer {token}"}
    ask(cache.url, PATH, headers=behind)
    ask(cache.url, "/api/v1/upstreams/docker.io/test", method="POST", headers=behind)
    cache.settings["trusted_proxies"] = ["10.0.0.0/8"]
    cache.configure({"docker.io": upstream.url})
    cache.reload()
    wait_until(lambda: "settings_reloaded" in cache.log.read_text(), "the reload")
    ask(cache.url, PATH, headers=behind)
    wait_until(lambda: len(_kept(cache.data / "audit")) == 2, "its line")
    told = json.loads(ask(cache.url, "/api/v1/audit?caller=203.0.113.7", headers=behind).body)
    assert [entry.get("action") or entry["path"] for entry in told] == [
        "/api/v1/upstreams/docker.io/test",
        "test",
        PATH,
    ]
    assert [line["remote"] for line in _kept(cache.data / "audit")] == ["203.0.113.7", "127.0.0.1"]


def test_whatever_an_alert_waits_for_is_shown_before_it_happens(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> None:
    audit = {"syslog": f"unix://{folder}/log"}
    cache = launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, audit=audit))
    shown = set(re.findall(r"^(entrepot_\w+)[{ ]", ask(cache.url, "/metrics").body.decode(), re.MULTILINE))
    rules = (Path(__file__).parents[3] / "docs/monitoring/alerts.yaml").read_text()
    awaited = set(re.findall(r"increase\((\w+)", rules))
    assert len(awaited) >= 4
    assert awaited <= shown


def test_no_line_is_lost_at_sigterm(cache: CacheProgram, upstream: FakeRegistry) -> None:
    upstream.content.add_image("library/app", "1")
    for number in range(500):
        _ask(cache, str(number))
    assert cache.stop() == 0
    assert _agents(cache.data / "audit") == [str(number) for number in range(500)]


def test_a_sudden_end_loses_no_more_than_the_last_second_and_harms_no_line(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    upstream.content.add_image("library/app", "1")
    _ask(cache, "before")
    wait_until(lambda: _agents(cache.data / "audit") == ["before"], "the line on disk")
    for number in range(100):
        _ask(cache, str(number))
    cache.signal(signal.SIGKILL)
    wait_until(lambda: not cache.running, "the end")
    cache.start()
    _ask(cache, "after")
    cache.stop()
    agents = _agents(cache.data / "audit")
    assert (agents[0], agents[-1]) == ("before", "after")
    assert agents[1:-1] == [str(number) for number in range(len(agents) - 2)]


def test_files_rotate_and_the_oldest_make_room_while_serving(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> None:
    upstream.content.add_image("library/app", "1")
    audit = {"file_size": "1MiB", "keep_size": "2MiB"}
    cache = launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, audit=audit))
    for number in range(900):
        _ask(cache, f"{number:04000}")
    cache.stop()
    sizes = [path.stat().st_size for path in (cache.data / "audit").glob("*.jsonl")]
    assert max(sizes) <= 1 << 20
    assert 1 << 20 < sum(sizes) <= 2 << 20
    numbers = [int(agent) for agent in _agents(cache.data / "audit")]
    assert numbers == list(range(900 - len(numbers), 900))


def _events(cache: CacheProgram, size: int) -> list[str]:
    lines = [
        json.loads(line)
        for line in cache.log.read_text()[size:].splitlines(keepends=True)
        if line.endswith("\n")
    ]
    return [line["event"] for line in lines if line["event"].startswith("audit_")]


def test_a_folder_that_cannot_be_written_is_told_once_and_serving_goes_on(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    upstream.content.add_image("library/app", "1")
    _ask(cache, "first")
    wait_until(lambda: _agents(cache.data / "audit") == ["first"], "the first line")
    shutil.rmtree(cache.data / "audit")
    (cache.data / "audit").write_text("in the way")
    size = cache.log.stat().st_size
    for number in range(20):
        assert _ask(cache, str(number)) == 200
    wait_until(lambda: "audit_not_written" in _events(cache, size), "the complaint")
    (cache.data / "audit").unlink()
    wait_until(lambda: "audit_written_again" in _events(cache, size), "the news")
    assert _agents(cache.data / "audit") == [str(number) for number in range(20)]
    assert _events(cache, size) == ["audit_not_written", "audit_written_again"]


def test_a_collector_gets_every_line_though_it_was_away_and_the_cache_was_killed(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> None:
    upstream.content.add_image("library/app", "1")
    path = folder / "log"
    audit = {"syslog": f"unix://{path}"}
    cache = launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, audit=audit))
    for number in range(50):
        _ask(cache, str(number))
    wait_until(lambda: len(_agents(cache.data / "audit")) == 50, "the lines on disk")
    wait_until(lambda: "audit_not_forwarded" in cache.log.read_text(), "the complaint")
    (forwarder,) = children(cache.pid)
    cache.kill()
    wait_until(lambda: has_ended(forwarder), "the end of who forwarded for it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as collector:
        collector.bind(str(path))
        collector.settimeout(PATIENCE)
        cache.start()
        _ask(cache, "50")
        agents: list[str] = []
        while "50" not in agents:
            message = collector.recv(1 << 16)
            line = json.loads(message[message.index(b"{") :])
            agents += [line["user_agent"]] if "repository" in line else []
    assert agents == [str(number) for number in range(51)]


def test_a_full_disk_holds_up_no_request(cache: CacheProgram, upstream: FakeRegistry) -> None:
    upstream.content.add_image("library/app", "1")
    cache.stop()
    shutil.rmtree(cache.data / "audit")
    (cache.data / "audit").mkdir()
    (cache.data / "audit/audit-20260102T030405.000000Z.jsonl").symlink_to("/dev/full")
    size = cache.log.stat().st_size
    cache.start()
    assert _ask(cache, "first") == 200
    wait_until(lambda: "No space left" in cache.log.read_text()[size:], "the complaint")
    assert _ask(cache, "second") == 200
    assert cache.stop() == 0
