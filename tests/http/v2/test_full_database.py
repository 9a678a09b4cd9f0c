"""A database that has no room left: what cannot be remembered is served all the same."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from tests.http.v2.conftest import House

from entrepot.oci.digest import Digest

LAYER = bytes(range(256)) * 4096
DIGEST = Digest.of(LAYER)
LARGE = b'{"schemaVersion":2,"padding":"%s"}' % (b"x" * 200_000)


@pytest.fixture
async def full(house: House) -> House:
    def bound(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await house.metadata._database.change(bound)
    house.upstream.manifests["library/demo", "latest"] = LARGE
    house.upstream.blobs["library/demo", DIGEST] = LAYER
    return house


async def test_manifests_are_served(full: House) -> None:
    reply = await full.call("/v2/demo/manifests/latest")
    assert (reply.status, reply.body) == (200, LARGE)
    assert full.metadata.manifest_anywhere(Digest.of(LARGE)) is None


async def test_blobs_are_served(full: House) -> None:
    reply = await full.call(f"/v2/demo/blobs/{DIGEST}")
    assert (reply.status, reply.body, reply.is_whole) == (200, LAYER, True)


async def test_tags_and_referrers_are_served(full: House) -> None:
    for number in range(3000):
        full.upstream.manifests["library/demo", f"{number:0100}"] = b"{}"
    reply = await full.call("/v2/demo/tags/list")
    assert (reply.status, len(reply.json["tags"])) == (200, 3001)
    assert (await full.call(f"/v2/demo/referrers/{DIGEST}")).status == 200
