from __future__ import annotations

import pytest

from entrepot.config.bounds import bounds_on
from entrepot.config.schema import CacheSettings, RetentionSettings, Settings, UpstreamSettings
from entrepot.config.units import Amount, Percent
from entrepot.policy.budget import Bounds

DISK = 1 << 40


def test_without_settings_only_the_reserve_of_the_disk_is_left_alone() -> None:
    assert bounds_on(DISK, Settings()) == Bounds(max_size=None, min_free=64 << 20, high=0.95, low=0.9)


def test_percentages_are_of_the_disk_and_marks_of_what_may_be_held() -> None:
    settings = CacheSettings(
        max_size=Amount.parse("50%"),
        min_free=Amount.parse("1GiB"),
        high_watermark=Percent(80),
        low_watermark=Percent(75),
    )
    assert bounds_on(DISK, Settings(cache=settings)) == Bounds(
        max_size=DISK // 2, min_free=1 << 30, high=0.8, low=0.75
    )


@pytest.mark.parametrize(("max_size", "share"), [(None, DISK // 4), (Amount.parse("8GiB"), 2 << 30)])
def test_shares_in_percent_are_of_the_budget_or_of_the_disk_where_there_is_none(
    max_size: Amount | None, share: int
) -> None:
    shares = {"a": Amount.parse("25%"), "b": Amount.parse("1GiB"), "c": None}
    upstreams = {
        name: UpstreamSettings(retention=RetentionSettings(max_size=of)) for name, of in shares.items()
    }
    settings = Settings(cache=CacheSettings(max_size=max_size), upstreams=upstreams)
    assert bounds_on(DISK, settings).shares == {"a": share, "b": 1 << 30}
