"""Warms: what they bring, how often they ask, how they end, and how they go on after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from tests.engine.boiler import Boiler, demo, heated
from tests.engine.conftest import MIB, UNBOUNDED

from entrepot.engine import warming
from entrepot.engine.warms import WarmState
from entrepot.errors import ManifestNotHere, RateLimited, Refused, UpstreamDown
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository, Tag
from entrepot.policy.wanted import Wanted


@pytest.fixture
async def boiler(tmp_path: Path) -> AsyncIterator[Boiler]:
    async with heated(tmp_path) as boiler:
        yield boiler


async def test_a_warmed_image_needs_its_upstream_no_more(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one", b"two")
    warm = await boiler.warm(demo())
    boiler.upstream.failure = UpstreamDown("it is gone")
    answer = await boiler.manifests.pull(Repository("docker.io", "library/demo"), Tag("1"))
    assert answer.value.content == boiler.upstream.manifests["library/demo", "1"]
    assert boiler.kept([Digest.of(b"one"), Digest.of(b"two")]) == [True, True]
    assert (warm.state, warm.images, warm.warmed, warm.failed, warm.size) == (WarmState.DONE, 1, 1, 0, 6)


async def test_what_is_held_costs_no_download(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    await boiler.warm(demo())
    boiler.publish("library/demo", "2", b"one", b"two")
    await boiler.warm(demo("1", "2"))
    assert boiler.downloads_of(b"one", b"two") == [1, 1]


async def test_of_an_index_only_the_chosen_platforms_are_brought(boiler: Boiler) -> None:
    boiler.publish_index(
        "library/demo", "1", linux_amd64=b"amd", linux_arm64_v8=b"arm", unknown_unknown=b"sbom"
    )
    warm = await boiler.warm(demo(), platforms=["linux/arm64"])
    assert warm.state is WarmState.DONE
    assert boiler.kept([Digest.of(blob) for blob in (b"amd", b"arm", b"sbom")]) == [False, True, False]
    await boiler.warm(demo())
    assert boiler.kept([Digest.of(blob) for blob in (b"amd", b"arm", b"sbom")]) == [True, True, True]


async def test_an_image_without_the_chosen_platforms_fails_and_says_what_there_is(boiler: Boiler) -> None:
    boiler.publish_index("library/demo", "1", linux_amd64=b"amd")
    warm = await boiler.warm(demo(), platforms=["linux/s390x", "linux/arm/v7"])
    assert warm.failures == {
        "docker.io/library/demo:1": "docker.io/library/demo:1 is not there for linux/s390x, linux/arm/v7,"
        " but for linux/amd64"
    }


async def test_tags_are_chosen_from_the_upstreams_list_as_it_is_now(boiler: Boiler) -> None:
    for tag in ("1.0.0", "1.1.0", "2.0.0", "latest"):
        boiler.publish("library/demo", tag, tag.encode())
    wanted = Wanted("docker.io", "library/demo", semver="^1")
    await boiler.warm(wanted)
    assert boiler.downloads_of(b"1.0.0", b"1.1.0", b"2.0.0", b"latest") == [1, 1, 0, 0]
    boiler.publish("library/demo", "1.2.0", b"1.2.0")
    warm = await boiler.warm(wanted)
    assert (warm.images, boiler.downloads_of(b"1.0.0", b"1.2.0")) == (3, [1, 1])


async def test_a_pattern_of_repositories_is_looked_up_in_the_catalogue(boiler: Boiler) -> None:
    for name in ("team/a", "team/b", "other/c", "secret/d"):
        boiler.publish(name, "1", name.encode())
    warm = await boiler.warm(Wanted("docker.io", "*e[ac]*/?", ("1",)))
    assert (warm.state, warm.images) == (WarmState.DONE, 2)
    assert boiler.downloads_of(b"team/a", b"team/b", b"other/c", b"secret/d") == [1, 1, 0, 0]


async def test_an_upstream_that_lists_no_repositories_is_named(boiler: Boiler) -> None:
    boiler.upstream.moods["REPOSITORIES"] = [ManifestNotHere("404"), ManifestNotHere("404")]
    warm = await boiler.warm(Wanted("docker.io", "team/*"))
    assert warm.state is WarmState.FAILED
    [(what, reason)] = warm.failures.items()
    assert what == "docker.io/team/*:*"
    assert "docker.io does not list its repositories" in reason
    assert "name them one by one" in reason


async def test_one_failure_keeps_no_other_image_from_being_brought(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    with capture_logs() as lines:
        warm = await boiler.warm(
            demo("absent", "1"), Wanted("docker.io", "secret/x", ("1",)), Wanted("gone.io", "x", ("1",))
        )
    assert (warm.state, warm.images, warm.warmed, warm.failed) == (WarmState.FAILED, 4, 1, 3)
    assert boiler.kept([Digest.of(b"one")]) == [True]
    assert set(warm.failures) == {"docker.io/library/demo:absent", "docker.io/secret/x:1", "gone.io/x:1"}
    [line] = [line for line in lines if line["event"] == "warm_ended"]
    assert (line["state"], line["failures"]) == ("failed", warm.failures)


async def test_what_may_do_better_is_tried_once_more_at_the_end(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    boiler.publish("library/demo", "2", b"two")
    boiler.upstream.moods["GET library/demo 1"] = [UpstreamDown("500")]
    boiler.upstream.moods["GET library/demo absent"] = []
    warm = await boiler.warm(demo("absent", "1", "2"))
    assert set(warm.failures) == {"docker.io/library/demo:absent"}
    asked = [
        what for what in boiler.upstream.asked if what.startswith("GET library/demo") and ":" not in what
    ]
    assert asked[-1] == "GET library/demo 1"
    assert asked.count("GET library/demo absent") == 1


async def test_an_upstream_that_counts_too_many_requests_is_left_alone_for_a_while(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    boiler.upstream.moods["GET library/demo 1"] = [RateLimited("429", 120), RateLimited("429")]
    warm = await boiler.warm(demo())
    assert warm.state is WarmState.DONE
    assert sorted(pause for pause in boiler.clock.sleeps if pause > 10) == [120, 120]


async def test_an_upstream_that_never_stops_counting_fails_the_image_at_last(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    boiler.upstream.moods["GET library/demo 1"] = [RateLimited("429") for _ in range(100)]
    warm = await boiler.warm(demo())
    assert warm.failures == {"docker.io/library/demo:1": "429"}
    assert max(boiler.clock.sleeps) == 3600


async def test_all_warms_together_keep_within_the_bound(boiler: Boiler) -> None:
    for number in range(3):
        boiler.publish("library/demo", str(number), *(f"{number} {blob}".encode() for blob in range(5)))
    await boiler.warm(Wanted("docker.io", "library/demo", ("absent",)))  # Nothing else is in the way.
    for number in range(3):
        await boiler.manifests.pull(Repository("docker.io", "library/demo"), Tag(str(number)))
    boiler.upstream.gate.clear()
    warms = [boiler.order(demo(str(number))) for number in range(3)]
    await boiler.until(lambda: len(boiler.upstream.downloads) == boiler.at_once)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(boiler.upstream.downloads) == boiler.at_once
    boiler.upstream.gate.set()
    for warm in warms:
        await boiler.end_of(warm)
        assert warm.state is WarmState.DONE


async def test_progress_tells_bytes_and_what_is_under_way(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", bytes(2 * MIB))
    await boiler.manifests.pull(Repository("docker.io", "library/demo"), Tag("1"))
    boiler.upstream.chunk = MIB
    boiler.upstream.gate.clear()
    warm = boiler.order(demo())
    await boiler.until(lambda: len(boiler.upstream.downloads) == 1)
    progress = boiler.warms.progress(warm)
    assert progress is not None
    assert (progress.size, progress.done, progress.current) == (2 * MIB, 0, ["docker.io/library/demo:1"])
    boiler.upstream.gate.set()
    await boiler.end_of(warm)
    assert (boiler.warms.progress(warm), warm.size) == (None, 2 * MIB)


async def test_a_cancelled_warm_asks_for_nothing_more(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    boiler.upstream.gate.clear()
    warm = boiler.order(demo("1", "2", "3", "4", "5", "6", "7", "8"))
    await boiler.until(lambda: len(boiler.upstream.asked) == boiler.at_once)
    boiler.warms.cancel(warm.number)
    boiler.upstream.gate.set()
    await boiler.until(lambda: not boiler.tasks._tasks)
    assert warm.state is WarmState.CANCELLED
    assert len(boiler.upstream.asked) == boiler.at_once
    boiler.warms.cancel(warm.number)
    assert boiler.warms.find(warm.number) is warm


async def test_an_interrupted_warm_goes_on_after_a_restart_with_what_remains(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    boiler.publish("library/demo", "2", b"two", b"three")
    boiler.upstream.left_waiting.add("2")
    warm = boiler.order(demo("1", "2"))
    await boiler.until(lambda: warm.warmed == 1)
    await boiler.restart()
    boiler.upstream.asked.clear()
    boiler.resume()
    await boiler.until(lambda: bool(boiler.warms.all()))
    [again] = boiler.warms.all()
    assert (again.number, again.state, again.warmed) == (warm.number, WarmState.RUNNING, 1)
    boiler.upstream.left_waiting.clear()
    await boiler.end_of(again)
    assert (again.state, again.images, again.warmed) == (WarmState.DONE, 2, 2)
    assert not [what for what in boiler.upstream.asked if "demo 1" in what or str(Digest.of(b"one")) in what]


async def test_warms_that_ended_are_remembered_but_not_run_again(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    first = await boiler.warm(demo("1", "absent"))
    await boiler.restart()
    boiler.upstream.asked.clear()
    boiler.resume()
    await boiler.until(lambda: bool(boiler.warms.all()))
    assert boiler.warms.all() == [first]
    assert boiler.order(demo()).number == first.number + 1


async def test_what_was_written_badly_is_forgotten_with_a_warning(boiler: Boiler) -> None:
    (boiler.store._root / "entrepot.warms").write_text('{"warms": [{"number": "one"}]}')
    with capture_logs() as lines:
        boiler.resume()
        await boiler.until(lambda: bool(lines))
    assert [line["event"] for line in lines] == ["warms_forgotten"]
    assert boiler.warms.all() == []


async def test_a_stale_answer_is_not_taken_for_the_upstreams(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    await boiler.warm(demo())
    boiler.clock.advance(4000)
    boiler.upstream.failure = UpstreamDown("it is gone")
    warm = await boiler.warm(demo())
    assert warm.failures == {"docker.io/library/demo:1": "it is gone"}


async def test_a_full_disk_is_told(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", bytes(MIB))
    boiler.disk.free = 1000
    await boiler.ledger.survey()
    warm = await boiler.warm(demo())
    [reason] = warm.failures.values()
    assert "the disk has no room for sha256:" in reason


async def test_an_image_whose_last_blob_takes_the_room_of_its_first_does_not_count_as_warmed(
    boiler: Boiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    boiler.at_once = 1
    await boiler.restart()
    keep = boiler.blobs.keep

    async def keep_last(repository: Repository, digest: Digest) -> None:
        await boiler.settle()  # What is still being closed is in use, and would not go.
        await keep(repository, digest)

    monkeypatch.setattr(boiler.blobs, "keep", keep_last)
    boiler.bounds = replace(UNBOUNDED, max_size=MIB + 64 * 1024)
    boiler.publish("library/demo", "1", bytes(MIB), bytes(MIB - 1))
    warm = await boiler.warm(demo())
    assert (warm.state, warm.warmed, warm.failed) == (WarmState.FAILED, 0, 1)
    [reason] = warm.failures.values()
    assert "raise cache.max_size, or unpin something" in reason


async def test_wrong_bytes_are_told_and_not_kept(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    boiler.upstream.honest_after = 100
    warm = await boiler.warm(demo())
    assert warm.failures == {
        "docker.io/library/demo:1": f"the upstream sent wrong bytes for {Digest.of(b'one')}"
    }


async def test_a_warm_that_crashes_does_not_seem_to_run_for_ever(boiler: Boiler) -> None:
    boiler.upstream.moods["GET"] = [ValueError("a mistake")]
    warm = await boiler.warm(demo())
    assert warm.state is WarmState.FAILED
    await boiler.until(lambda: bool(boiler.crashes))
    assert [type(crash) for crash in boiler.crashes] == [ExceptionGroup]
    boiler.crashes.clear()


async def test_more_warms_than_can_be_kept_are_refused(boiler: Boiler) -> None:
    boiler.upstream.gate.clear()
    for _ in range(32):
        boiler.order(demo())
    with pytest.raises(Refused, match="32 warms are running"):
        boiler.order(demo())
    boiler.upstream.gate.set()


@pytest.mark.parametrize("others", [(), ("4", "5")], ids=["of one pattern", "together with others"])
async def test_of_what_is_too_much_nothing_is_brought_and_the_rest_is(
    boiler: Boiler, monkeypatch: pytest.MonkeyPatch, others: tuple[str, ...]
) -> None:
    monkeypatch.setattr(warming, "_MOST_IMAGES", 2 + len(others))
    for tag in ("1", "2", "3", *others):
        boiler.publish("library/demo", tag, tag.encode())
    warm = await boiler.warm(*(demo(tag) for tag in others), demo("[1-3]"))
    assert (warm.state, warm.images, warm.warmed) == (WarmState.FAILED, len(others), len(others))
    assert "order them in parts" in warm.failures["docker.io/library/demo:[1-3]"]
    assert boiler.downloads_of(b"1", b"2", b"3") == [0, 0, 0]
