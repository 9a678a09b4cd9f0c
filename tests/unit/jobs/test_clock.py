"""The clock of the system."""

from __future__ import annotations

import uvloop

from entrepot.jobs.clock import SystemClock


def test_it_never_wakes_early() -> None:
    """Where an endpoint is asked again a moment too early, an attempt is lost for nothing."""

    async def early(clock: SystemClock) -> list[float]:
        found = []
        for step in range(200):
            seconds = 0.000_313 + 0.000_1 * (step % 17)
            begin = clock.monotonic()
            await clock.sleep(seconds)
            if clock.monotonic() - begin < seconds:
                found.append(seconds)
            while clock.monotonic() - begin < seconds + 0.000_7:
                pass
        return found

    assert uvloop.run(early(SystemClock())) == []
