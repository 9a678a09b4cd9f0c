"""Whoever reads the log learns why a request failed, without asking the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.http.v2.conftest import House

from entrepot.oci.digest import Digest

CONTENT = bytes(300_000)
DIGEST = Digest.of(CONTENT)
PATH = f"/v2/library/demo/blobs/{DIGEST}"


@pytest.mark.parametrize("path", ["/v2/secret/x/manifests/latest", PATH, "/v2/A/manifests/1"])
async def test_an_error_is_logged_with_the_detail_that_the_client_gets(
    house: House, logged: Callable[[], list[dict[str, Any]]], path: str
) -> None:
    reply = await house.call(path)
    (line,) = logged()
    assert line["status"] == reply.status >= 400
    assert line["reason"] == reply.json["errors"][0]["detail"]


async def test_an_answer_that_broke_off_is_logged_with_its_reason(
    house: House, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    house.upstream.blobs["library/demo", DIGEST] = CONTENT[:-1] + b"\1"
    assert not (await house.call(PATH)).is_whole
    (line,) = logged()
    assert line["status"] == 200
    assert str(DIGEST) in line["reason"]


async def test_an_answer_that_went_well_needs_no_reason(
    house: House, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    house.upstream.blobs["library/demo", DIGEST] = CONTENT
    await house.call(PATH)
    (line,) = logged()
    assert line["cache"] == "miss"
    assert "reason" not in line
