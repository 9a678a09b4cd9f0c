from __future__ import annotations

import asyncio

from entrepot.jobs.lag import sample_lag
from entrepot.testing.virtual_clock import VirtualClock


async def test_each_sample_tells_by_how_much_the_wake_up_was_late() -> None:
    clock = VirtualClock()
    samples: list[float] = []
    sampling = asyncio.create_task(sample_lag(1.0, clock, samples.append))
    for late in (0.0, 0.25, 2.0):
        await asyncio.sleep(0)
        clock.advance(1.0 + late)
        await asyncio.sleep(0)
    sampling.cancel()
    await asyncio.wait([sampling])
    assert samples == [0.0, 0.25, 2.0]
