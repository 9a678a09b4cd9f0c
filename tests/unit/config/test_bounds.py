from __future__ import annotations

from entrepot.config.bounds import bounds_on
from entrepot.config.schema import CacheSettings
from entrepot.config.units import Amount, Percent
from entrepot.policy.budget import Bounds

DISK = 1 << 40


def test_without_settings_only_the_reserve_of_the_disk_is_left_alone() -> None:
    assert bounds_on(DISK, CacheSettings()) == Bounds(max_size=None, min_free=64 << 20, high=0.95, low=0.9)


def test_percentages_are_of_the_disk_and_marks_of_what_may_be_held() -> None:
    settings = CacheSettings(
        max_size=Amount.parse("50%"),
        min_free=Amount.parse("1GiB"),
        high_watermark=Percent(80),
        low_watermark=Percent(75),
    )
    assert bounds_on(DISK, settings) == Bounds(max_size=DISK // 2, min_free=1 << 30, high=0.8, low=0.75)
