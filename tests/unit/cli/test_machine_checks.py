from __future__ import annotations

from pathlib import Path

import pytest

from entrepot.cli.machine_checks import (
    file_system_of,
    judge_budget,
    judge_disk,
    judge_file_system,
    judge_files,
)
from entrepot.policy.budget import Bounds

MOUNTS = [
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "23 22 0:5 / /dev rw shared:2 - devtmpfs udev rw",
    "24 22 0:6 / /srv/the\\040data rw - nfs4 nas:/export rw",
    "25 22 0:7 / /srv rw - btrfs /dev/sdb rw",
    "an unreadable line",
]


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/var/lib/entrepot", "ext4"),
        ("/", "ext4"),
        ("/srv", "btrfs"),
        ("/srv/the data/blobs", "nfs4"),
        ("/srv/the database", "btrfs"),
        ("/development", "ext4"),
    ],
)
def test_the_file_system_of_a_folder_is_the_nearest_mount(place: str, kind: str) -> None:
    assert file_system_of(Path(place), MOUNTS) == kind


def test_without_mounts_the_kind_is_unknown() -> None:
    assert file_system_of(Path("/srv"), []) is None


@pytest.mark.parametrize(
    ("kind", "verdict", "part"),
    [
        ("ext4", "ok", "is on ext4"),
        (None, "ok", "of unknown kind"),
        ("tmpfs", "warning", "in memory"),
        ("overlay", "warning", "a container's own"),
        ("nfs4", "warning", "another machine's"),
        ("fuse.sshfs", "warning", "another machine's"),
    ],
)
def test_a_file_system_that_is_no_place_for_a_cache_is_told(
    kind: str | None, verdict: str, part: str
) -> None:
    finding = judge_file_system("/data", kind)
    assert (finding.verdict, finding.advice is None) == (verdict, verdict == "ok")
    assert part in finding.found


@pytest.mark.parametrize(
    ("most", "verdict"), [(-1, "ok"), (65536, "ok"), (4096, "ok"), (1024, "warning"), (64, "problem")]
)
def test_few_open_files_are_told(most: int, verdict: str) -> None:
    assert judge_files(most).verdict == verdict


@pytest.mark.parametrize(
    ("free", "inodes", "max_size", "verdicts"),
    [
        (500, None, None, ["ok"]),
        (500, 1_000_000, 800, ["ok"]),
        (500, 9, None, ["ok", "warning"]),
        (100, None, None, ["warning"]),
        (500, None, 950, ["warning"]),
    ],
)
def test_a_disk_that_is_too_small_for_the_budget_is_told(
    free: int, inodes: int | None, max_size: int | None, verdicts: list[str]
) -> None:
    bounds = Bounds(max_size=max_size, min_free=100, high=0.9, low=0.8)
    assert [finding.verdict for finding in judge_disk(free, 1000, inodes, bounds)] == verdicts


def test_what_the_cache_may_take_is_told_beside_what_stays_free() -> None:
    bounds = Bounds(max_size=500_000_000, min_free=64_000_000, high=0.9, low=0.8)
    (finding,) = judge_disk(10**11, 10**12, None, bounds)
    assert finding.found == "100 GB of 1.0 TB free, 64.0 MB of it to stay so; the cache may take 500 MB"


@pytest.mark.parametrize(
    ("max_size", "told"), [(None, []), (1 << 30, []), (200, ["cache.max_size is 200 B"])]
)
def test_a_budget_that_keeps_next_to_nothing_is_told(max_size: int | None, told: list[str]) -> None:
    assert [finding.found for finding in judge_budget(max_size)] == told
