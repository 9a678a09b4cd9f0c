from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from entrepot.engine.cleaning import Cleaning
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.testing.virtual_clock import VirtualClock

DIGEST = Digest.of(b"subject")
MONTH = 30 * 86400


async def test_lists_of_nothing_that_is_here_are_forgotten_after_a_month(tmp_path: Path) -> None:
    metadata, clock = SqlMetadata.open(tmp_path / "entrepot.db"), VirtualClock(autojump=True)
    repositories = [Repository("docker.io", f"team/{number}") for number in range(2)]
    for repository, age in zip(repositories, (MONTH + 60, MONTH - 60), strict=True):
        await metadata.record_referrers(repository, DIGEST, b"{}", clock.now() - age)
    await Cleaning(metadata, clock).run()
    kept = [metadata.referrers(repository, DIGEST) is not None for repository in repositories]
    assert kept == [False, True]
    assert len(clock.sleeps) == 2
    await metadata.close()


async def test_a_database_that_fails_is_left_to_the_next_run(tmp_path: Path) -> None:
    metadata = SqlMetadata.open(tmp_path / "entrepot.db")
    await metadata.close()
    with capture_logs() as lines:
        await Cleaning(metadata, VirtualClock()).run()
    assert [line["event"] for line in lines] == ["metadata_not_cleaned"]
