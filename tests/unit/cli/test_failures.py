from __future__ import annotations

from typing import Any

import pytest

from entrepot.cli.failures import happened, reason_of, standing

REFUSED = "a.test accepts no connections: Connection refused; check that it runs there"


def _upstream(state: str, *endpoints: tuple[str, str | None]) -> dict[str, Any]:
    told = [{"url": "https://a.test", "state": is_, "last_failure": why} for is_, why in endpoints]
    return {"state": state, "endpoints": told, "credential_refusal": None}


@pytest.mark.parametrize(
    ("upstream", "told", "reason"),
    [
        (_upstream("up", ("up", None)), "up", ""),
        (
            _upstream("up", ("up", REFUSED)),
            "failing",
            "https://a.test accepts no connections: Connection refused",
        ),
        (_upstream("up", ("down", REFUSED), ("up", None)), "up", ""),
        (
            _upstream("down", ("down", REFUSED)),
            "down",
            "https://a.test accepts no connections: Connection refused",
        ),
    ],
)
def test_an_upstream_is_not_called_up_that_failed_when_it_was_last_asked(
    upstream: dict[str, Any], told: str, reason: str
) -> None:
    assert (standing(upstream), reason_of(upstream)) == (told, reason)


def test_a_refused_credential_is_the_reason_where_all_else_is_well() -> None:
    assert reason_of({**_upstream("up", ("up", None)), "credential_refusal": "wrong"}) == "wrong"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("a.test sent no answer within 15 s", "https://a.test sent no answer within 15 s"),
        ("a.testing is another", "https://a.test: a.testing is another"),
        ("app at a.test: answer 500", "https://a.test: app at a.test: answer 500"),
    ],
)
def test_an_endpoint_is_named_once(found: str, told: str) -> None:
    assert happened("https://a.test", found) == told
