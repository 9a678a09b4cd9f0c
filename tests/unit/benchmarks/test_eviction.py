"""The simulated caches on short traces whose outcome is known, and the traces themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from benchmarks.eviction.contest import CHOSEN, POLICIES, play, turnovers_survived
from benchmarks.eviction.priorities import Offline, PriorityCache, gdsf, lfu_da
from benchmarks.eviction.queues import Cache, Fifo, Lru, S3Fifo, SegmentedLru, TinyLfu
from benchmarks.eviction.trace import WORKLOADS, Trace, Use, make_trace

SMALL = replace(WORKLOADS[0], days=10, repositories=40, pulls_per_day=40)


def hits(cache: Cache, blobs: str) -> str:
    """Use blobs of size 1; return those that were there."""
    return "".join(blob for blob in blobs if cache.use(ord(blob), 1, 1))


def trace_of(blobs: Sequence[int]) -> Trace:
    return Trace([Use(float(time), blob) for time, blob in enumerate(blobs)], [1] * (max(blobs) + 1))


def lru(capacity: int) -> Cache:
    return PriorityCache(capacity, lambda _uses, _size, floor: floor + 1)


@pytest.mark.parametrize(
    ("cache", "blobs", "expected"),
    [
        (Lru(2), "abacab", "aa"),
        (Fifo(2), "abacab", "a"),
        (SegmentedLru(5), "aabcdefga", "aa"),
        (S3Fifo(10), "aaabcdefghijklma", "aaa"),
        (TinyLfu(10, window=0.1), "aaabcdefghijklmnopa", "aaa"),
        (PriorityCache(2, lfu_da), "aabcda", "aa"),
        (PriorityCache(2, lfu_da), "aaabcdefgbcdefga", "aa"),
        (lru(2), "abcabc", ""),
    ],
    ids=[
        "LRU keeps what was used last",
        "FIFO does not care for use",
        "SLRU keeps what was used twice",
        "S3-FIFO moves what was used again to its main queue",
        "W-TinyLFU keeps what was used most",
        "LFU-DA keeps what was used most",
        "LFU-DA forgets in the end",
        "priorities without uses are ages",
    ],
)
def test_a_cache_keeps_what_its_policy_says(cache: Cache, blobs: str, expected: str) -> None:
    assert hits(cache, blobs) == expected


def test_gdsf_prefers_many_small_blobs_to_a_large_one() -> None:
    cache = PriorityCache(10, gdsf)
    for blob, size in ((1, 8), (2, 1), (3, 1), (4, 1)):
        cache.use(blob, size, 1)
    assert [blob in cache for blob in (1, 2, 3, 4)] == [False, True, True, True]


def test_a_ghost_comes_back_with_its_uses() -> None:
    forgetful, mindful = (PriorityCache(2, lfu_da, ghosts=ghosts) for ghosts in (0.0, 2.0))
    blobs = "aabbccaddaeea"
    assert len(hits(mindful, blobs)) >= len(hits(forgetful, blobs))
    assert hits(PriorityCache(1, lfu_da, ghosts=5.0), "aaab") == "aa"


@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)
def test_no_cache_beats_the_one_that_knows_the_future_or_holds_more_than_it_may(
    make: Callable[[int], Cache],
) -> None:
    trace = trace_of([use.blob for use in make_trace(SMALL).uses])
    capacity = 100
    best = play(Offline(capacity, trace.uses), trace, frozenset())
    cache = make(capacity)
    outcome = play(cache, trace, frozenset())
    assert 0 < outcome.bytes_hit <= best.bytes_hit
    assert sum(blob in cache for blob in range(len(trace.sizes))) <= capacity


@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)
def test_what_is_larger_than_the_cache_is_not_kept(make: Callable[[int], Cache]) -> None:
    cache = make(10)
    assert not cache.use(1, 1, 1)
    assert not cache.use(2, 11, 1)
    assert 1 in cache
    assert 2 not in cache


def test_a_favourite_fades_by_the_chosen_policy_and_stays_for_good_by_plain_counting() -> None:
    assert turnovers_survived(POLICIES["LRU"], 50) == 1
    assert turnovers_survived(POLICIES[CHOSEN], 50) == 13
    assert turnovers_survived(POLICIES["LFU-DA"], 50) == 50


def test_a_trace_is_the_same_in_every_run_and_another_with_another_seed() -> None:
    assert make_trace(SMALL) == make_trace(SMALL)
    assert make_trace(SMALL) != make_trace(replace(SMALL, seed=SMALL.seed + 1))


def test_a_sweep_brings_much_that_nobody_asks_for_again() -> None:
    swept, steady = (make_trace(replace(SMALL, sweeps_per_week=sweeps)) for sweeps in (7.0, 0.0))
    assert swept.sweeps
    assert not steady.sweeps
    assert swept.footprint > 2 * steady.footprint


def test_what_is_hot_after_a_sweep_was_used_often_in_the_week_before_it() -> None:
    times_and_blobs = [
        (0.0, 0),
        (8.0, 0),
        (9.0, 0),
        (9.1, 1),
        (9.2, 1),
        (9.3, 1),
        (10.5, 0),
        (10.6, 1),
        (12.0, 1),
    ]
    uses = [Use(time, blob) for time, blob in times_and_blobs]
    assert Trace(uses, [1, 1], [(10.0, 10.2)]).hot_after_sweeps() == {7}
