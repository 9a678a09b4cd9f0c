"""What refers to images: brought with them, and looked for where only signed ones are wanted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.engine.boiler import Boiler, demo, heated

from entrepot.engine.warms import WarmState
from entrepot.errors import UpstreamDown
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository, Tag
from entrepot.policy.wanted import Wanted


@pytest.fixture
async def boiler(tmp_path: Path) -> AsyncIterator[Boiler]:
    async with heated(tmp_path) as boiler:
        yield boiler


NOTATION = "application/vnd.cncf.notary.signature"


def _cosign_tag(subject: Digest, kind: str) -> str:
    return f"sha256-{subject.hex}.{kind}"


async def test_referrers_come_with_their_images_and_need_the_upstream_no_more(boiler: Boiler) -> None:
    index = boiler.publish_index("library/demo", "1", linux_amd64=b"amd", linux_arm64=b"arm")
    boiler.attach(index, b"signature of all", NOTATION)
    sbom = boiler.attach(boiler.publish("library/demo", "sha256:linux_amd64", b"amd"), b"sbom", "sbom")
    boiler.attach(sbom, b"signature of the sbom", "signature of an sbom")
    boiler.attach(boiler.publish("library/demo", "sha256:linux_arm64", b"arm"), b"other", "of arm")
    boiler.publish("library/demo", _cosign_tag(index, "att"), b"attestation")
    warm = await boiler.warm(demo(), platforms=["linux/amd64"], referrers=True)
    assert (warm.state, warm.images, warm.failures) == (WarmState.DONE, 1, {})
    brought = (b"amd", b"signature of all", b"sbom", b"signature of the sbom", b"attestation")
    assert (
        boiler.kept([Digest.of(blob) for blob in (*brought, b"arm", b"other")])
        == [True] * len(brought) + [False] * 2
    )
    boiler.upstream.failure = UpstreamDown("it is gone")
    repository = Repository("docker.io", "library/demo")
    listed = json.loads((await boiler.lists.referrers(repository, sbom)).value)["manifests"]
    assert [referrer["artifactType"] for referrer in listed] == ["signature of an sbom"]
    assert (await boiler.manifests.pull(repository, Tag(_cosign_tag(index, "att")))).value.content
    assert (await boiler.manifests.pull(repository, sbom)).value.content


async def test_referrers_are_not_asked_for_where_they_are_not_wanted(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    await boiler.warm(demo())
    assert [what.split()[0] for what in boiler.upstream.asked] == ["GET", "GET"]


async def test_an_image_whose_referrers_are_not_told_has_not_been_brought(boiler: Boiler) -> None:
    boiler.publish("library/demo", "1", b"one")
    boiler.upstream.moods["REFERRERS"] = [UpstreamDown("it is gone"), UpstreamDown("it is gone")]
    warm = await boiler.warm(demo(), referrers=True)
    assert (warm.state, warm.failures) == (WarmState.FAILED, {"docker.io/library/demo:1": "it is gone"})


@pytest.mark.parametrize("how", ["referrer", "tag"])
async def test_unsigned_images_are_left_alone_where_only_signed_ones_are_wanted(
    boiler: Boiler, how: str
) -> None:
    boiler.publish("library/demo", "1", b"one")
    signed = boiler.publish("library/demo", "2", b"two")
    boiler.attach(boiler.publish("library/demo", "3", b"three"), b"sbom", "sbom")
    if how == "referrer":
        boiler.attach(signed, b"signature", NOTATION)
    else:
        boiler.publish("library/demo", _cosign_tag(signed, "sig"), b"signature")
    wanted = Wanted("docker.io", "library/demo", ("*",))
    warm = await boiler.warm(wanted, only_signed=True)
    assert (warm.state, warm.images, warm.warmed, warm.unsigned) == (WarmState.DONE, 3, 1, 2)
    assert boiler.downloads_of(b"one", b"two", b"three", b"signature") == [0, 1, 0, 0]
    again = await boiler.warm(wanted, only_signed=True, referrers=True)
    assert (again.warmed, again.unsigned) == (1, 2)
    assert boiler.downloads_of(b"one", b"two", b"three", b"signature") == [0, 1, 0, 1]
