from __future__ import annotations

import json

import pytest
from tests.http.api.conftest import Office, problem

from entrepot.oci.digest import Digest
from entrepot.oci.image import ManifestDescription, describe_manifest
from entrepot.testing.registry_content import Image

CONFIG = {
    "os": "linux",
    "architecture": "arm64",
    "config": {"Env": ["A=b"], "Entrypoint": ["/app"], "Labels": {"x": "y"}},
    "history": [
        {"created_by": "COPY . /", "comment": "built"},
        {"created_by": "ENV A=b", "empty_layer": True},
    ],
}
APP = "docker.io/library/app"


@pytest.fixture
async def image(office: Office) -> Image:
    """An image that has been pulled, layer and config too."""
    image = office.registry.content.add_image(
        "library/app", "1", layers=[b"layer"], config=json.dumps(CONFIG).encode()
    )
    await office.pull("library/app/manifests/1")
    for digest in (image.config, *image.layers):
        await office.pull(f"library/app/blobs/{digest}")
    await office.settle()
    return image


@pytest.mark.usefixtures("image")
async def test_repositories_are_listed_by_what_they_hold(office: Office) -> None:
    (row,) = await office.get("/repositories?upstream=docker.io&search=app&sort=-size")
    assert (row["repository"], row["upstream"], row["name"]) == (APP, "docker.io", "library/app")
    assert (row["tags"], row["manifests"]) == (1, 1)
    assert row["size"] == len(json.dumps(CONFIG)) + 5
    assert await office.get("/repositories?upstream=quay.test") == []


@pytest.mark.parametrize("name", [APP, "app", "library/app", "index.docker.io/library/app"])
async def test_a_repository_is_named_as_it_is_for_a_pull(office: Office, image: Image, name: str) -> None:
    (row,) = await office.get(f"/tags?repository={name}")
    assert (row["repository"], row["tag"], row["digest"]) == (APP, "1", str(image.digest))


async def test_a_tag_has_its_digest_for_an_etag(office: Office, image: Image) -> None:
    reply = await office.call(f"/tags/1?repository={APP}")
    assert (reply.status, reply.headers["etag"]) == (200, f'"{image.digest}"')
    assert (await office.call(f"/tags/2?repository={APP}")).status == 404


async def test_a_manifest_is_taken_apart(office: Office, image: Image) -> None:
    for reference in ("1", str(image.digest)):
        manifest = await office.get(f"/manifests/{reference}?repository={APP}")
        assert (manifest["digest"], manifest["size"]) == (str(image.digest), len(image.content))
        assert [layer["digest"] for layer in manifest["layers"]] == [str(image.layers[0])]
        assert manifest["config"]["digest"] == str(image.config)
        seen = manifest["image"]
        assert seen["platform"] == {"os": "linux", "architecture": "arm64"}
        assert (seen["env"], seen["entrypoint"], seen["labels"]) == (["A=b"], ["/app"], {"x": "y"})
        assert [entry.get("empty_layer", False) for entry in seen["history"]] == [False, True]


async def test_an_index_tells_its_platforms(office: Office, image: Image) -> None:
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    child = {"digest": str(image.digest), "size": 3, "mediaType": "application/x", "platform": platform}
    index = json.dumps({"schemaVersion": 2, "manifests": [child], "annotations": {"a": "b"}}).encode()
    office.registry.content.add_manifest("library/app", index, tag="all")
    await office.pull("library/app/manifests/all")
    manifest = await office.get(f"/manifests/all?repository={APP}")
    assert [row["platform"] for row in manifest["platforms"]] == [platform]
    assert [row["cached"] for row in manifest["platforms"]] == ["all"]
    assert (manifest["annotations"], manifest["image"]) == ({"a": "b"}, None)


async def test_an_image_that_an_index_names_often_is_looked_at_once(
    office: Office, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = {"digest": str(image.digest), "size": 3, "mediaType": "application/x"}
    index = json.dumps({"schemaVersion": 2, "manifests": [child] * 500}).encode()
    office.registry.content.add_manifest("library/app", index, tag="often")
    await office.pull("library/app/manifests/often")
    described: list[bytes] = []

    def describe(content: bytes) -> ManifestDescription:
        described.append(content)
        return describe_manifest(content)

    monkeypatch.setattr("entrepot.engine.inspection.describe_manifest", describe)
    manifest = await office.get(f"/manifests/often?repository={APP}")
    assert [row["cached"] for row in manifest["platforms"]] == ["all"] * 500
    assert described == [index, image.content]


async def test_an_index_tells_how_much_of_each_image_is_here(office: Office, image: Image) -> None:
    known = office.registry.content.add_image("library/app", layers=[b"another"])
    unknown = office.registry.content.add_image("library/app", layers=[b"never pulled"])
    images = {"linux/arm64": image, "linux/amd64": known, "linux/s390x": unknown}
    office.registry.content.add_index("library/app", "all", images)
    await office.pull("library/app/manifests/all")
    await office.pull(f"library/app/manifests/{known.digest}")
    manifest = await office.get(f"/manifests/all?repository={APP}")
    assert {row["digest"]: row["cached"] for row in manifest["platforms"]} == {
        str(image.digest): "all",
        str(known.digest): "part",
        str(unknown.digest): "none",
    }


async def test_manifests_and_blobs_are_listed(office: Office, image: Image) -> None:
    (manifest,) = await office.get(f"/manifests?repository={APP}")
    assert manifest["digest"] == str(image.digest)
    for path in ("/blobs?sort=size", f"/blobs?sort=size&repository={APP}"):
        assert [row["digest"] for row in await office.get(path)] == [str(image.layers[0]), str(image.config)]
    layer = str(image.layers[0])
    assert (await office.get(f"/blobs/{layer}"))["size"] == 5
    assert await office.get(f"/blobs/{layer}/repositories") == [APP]


async def test_referrers_are_told_as_clients_are(office: Office, image: Image) -> None:
    office.registry.behaviour.referrers_api = True
    assert await office.get(f"/manifests/{image.digest}/referrers?repository={APP}") == []
    assert office.registry.count("referrers") == 1


async def test_referrers_of_one_kind_are_found(office: Office, image: Image) -> None:
    office.registry.behaviour.referrers_api = True
    path = f"/manifests/{image.digest}/referrers?repository={APP}"
    subject = {"digest": str(image.digest), "mediaType": "a/b", "size": len(image.content)}
    signature, _ = (
        office.registry.content.add_manifest(
            "library/app", json.dumps({"artifactType": kind, "subject": subject}).encode()
        )
        for kind in ("a/signature", "a/bill-of-materials")
    )
    assert len(await office.get(path)) == 2
    (found,) = await office.get(f"{path}&artifact_type=a/signature")
    assert found["digest"] == str(signature)


async def test_what_is_not_cached_is_a_404_and_no_upstream_is_asked(office: Office) -> None:
    digest = Digest.of(b"never")
    for path in (
        f"/manifests/1?repository={APP}",
        f"/manifests/{digest}?repository={APP}",
        f"/blobs/{digest}",
    ):
        reply = await office.call(path)
        assert (reply.status, problem(reply)["type"]) == (404, "urn:entrepot:problem:not-here")
    assert office.registry.requests == []


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/tags?repository=UPPER", "repository"),
        ("/tags?repository=docker.io/UPPER", "repository"),
        (f"/tags/sha256:1?repository={APP}", "tag"),
        (f"/manifests/!?repository={APP}", "reference"),
        ("/blobs/sha256:1", "digest"),
        ("/blobs?repository=UPPER", "repository"),
    ],
)
async def test_names_that_cannot_be_are_refused_by_the_parameter(office: Office, path: str, key: str) -> None:
    reply = await office.call(path)
    assert (reply.status, [fault["key"] for fault in problem(reply)["errors"]]) == (400, [key])


async def test_a_repository_of_an_unknown_upstream_is_a_404(office: Office) -> None:
    assert (await office.call("/tags?repository=gone.test/app")).status == 404
