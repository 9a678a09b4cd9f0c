from __future__ import annotations

import asyncio

import pytest

from entrepot.testing.waiting import until, wait_until


def test_a_wait_ends_with_its_deadline() -> None:
    with pytest.raises(TimeoutError, match="the moon: not within 0 s"):
        wait_until(lambda: False, "the moon", within=0.0)


async def test_a_wait_in_an_event_loop_lets_others_go_on_and_ends_with_its_deadline_too() -> None:
    news: list[str] = []
    asyncio.get_running_loop().call_soon(news.append, "here")
    await until(lambda: news, "the news")
    with pytest.raises(TimeoutError, match="the moon: not within 0 s"):
        await until(lambda: False, "the moon", within=0.0)
