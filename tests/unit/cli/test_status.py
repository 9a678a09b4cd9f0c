from __future__ import annotations

from typing import Any

import pytest

from entrepot.cli.status import troubles


def _status(**endpoint: Any) -> dict[str, Any]:
    known = {"url": "http://r.test", "state": "up", "retry_after_seconds": 0.0, "last_failure": None}
    upstream = {
        "name": "r.test",
        "endpoints": [{**known, **endpoint}],
        "credential": "none",
        "clock_ahead_seconds": None,
        "rate_limit": None,
    }
    cache = {"free": 9, "allowed": 10, "held": 5, "watermark": 9}
    return {"status": "ready", "upstreams": [upstream], "cache": cache}


def test_an_endpoint_that_answers_is_no_trouble() -> None:
    assert list(troubles(_status())) == []


@pytest.mark.parametrize("state", ["up", "probing", "down"])
def test_an_endpoint_that_failed_when_it_was_last_asked_is_told_whatever_its_state(state: str) -> None:
    (trouble,) = troubles(_status(state=state, last_failure="r.test accepts no connections"))
    assert trouble.startswith("r.test: http://r.test accepts no connections; ")
    assert trouble.endswith("entrepot upstreams --test r.test")
    assert ("it is down, and asked again by the next pull" in trouble) == (state == "down")


def test_the_last_moments_before_an_endpoint_is_asked_again_are_a_second() -> None:
    (trouble,) = troubles(_status(state="down", retry_after_seconds=0.3))
    assert "it is down, and asked again in 1 s" in trouble


def test_what_can_be_done_follows_what_happened() -> None:
    (trouble,) = troubles(_status(last_failure="the name of r.test does not resolve; check the DNS"))
    assert "http://r.test: the name of r.test does not resolve; check the DNS; " in trouble


def test_content_that_stays_above_the_watermark_is_told() -> None:
    status = _status()
    assert list(troubles(status)) == []
    status["cache"]["held"] = 10
    (trouble,) = troubles(status)
    assert "unpin" in trouble
