from __future__ import annotations

import asyncio
import subprocess
import sys

from tests.http.api.conftest import Office


def test_a_start_does_not_wait_for_the_framework() -> None:
    told = "import sys, entrepot.app; sys.exit('litestar' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False, timeout=60).returncode == 0


async def test_all_who_ask_first_get_an_answer(office: Office) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(office.get("/upstreams")) for _ in range(5)]
    answers = [one.result() for one in asked]
    assert all(answer == answers[0] for answer in answers)
