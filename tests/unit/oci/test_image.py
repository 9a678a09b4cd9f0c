from __future__ import annotations

import json
from typing import Any

import pytest

from entrepot.oci.digest import Digest
from entrepot.oci.image import (
    Content,
    HistoryEntry,
    ImageConfig,
    ManifestDescription,
    Platform,
    describe_config,
    describe_manifest,
    describe_referrers,
)

ONE, TWO = str(Digest.of(b"1")), str(Digest.of(b"2"))


def _described(document: Any) -> ManifestDescription:
    return describe_manifest(json.dumps(document).encode())


def test_an_image_is_its_config_and_its_layers_in_order() -> None:
    config = {"digest": ONE, "size": 7, "mediaType": "application/c"}
    layers = [{"digest": TWO, "size": 9}, {"digest": ONE, "annotations": {"a": "b"}}]
    described = _described({"config": config, "layers": layers, "annotations": {"x": "y"}})
    assert described.config == Content(ONE, "application/c", 7)
    assert described.layers == [Content(TWO, size=9), Content(ONE, annotations={"a": "b"})]
    assert described.annotations == {"x": "y"}


def test_an_index_is_the_platforms_that_it_names() -> None:
    platform = {"os": "windows", "architecture": "amd64", "os.version": "10"}
    described = _described({"manifests": [{"digest": ONE, "platform": platform}, {"digest": TWO}]})
    assert described.platforms == [
        Content(ONE, platform=Platform("windows", "amd64", os_version="10")),
        Content(TWO),
    ]


def test_an_artifact_tells_its_type_and_its_subject() -> None:
    described = _described({"artifactType": "application/sig", "subject": {"digest": ONE, "size": 1}})
    assert (described.artifact_type, described.subject) == ("application/sig", Content(ONE, size=1))


def test_layers_of_schema_1_are_turned_right_side_up() -> None:
    described = _described({"fsLayers": [{"blobSum": TWO}, {"blobSum": ONE}]})
    assert [layer.digest for layer in described.layers] == [ONE, TWO]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"7", b"\xff", b"[" * 100_000, b'{"layers": 3, "config": [], "manifests": {}}']
)
def test_what_is_no_manifest_says_nothing(content: bytes) -> None:
    assert describe_manifest(content) == ManifestDescription()
    assert describe_config(content) == ImageConfig()
    assert describe_referrers(content) == []


def test_members_that_cannot_be_are_left_out() -> None:
    bad = {"digest": ONE, "size": -1, "mediaType": 3, "annotations": {"a": 1, "b": "c"}, "platform": "linux"}
    described = _described(
        {"layers": [bad, {"digest": "sha256:x"}, "text", None, {"digest": TWO, "size": True}]}
    )
    assert described.layers == [Content(ONE, annotations={"b": "c"}), Content(TWO)]


def test_text_that_cannot_be_sent_on_is_made_such() -> None:
    described = describe_manifest(b'{"annotations": {"a": "\\ud800"}}')
    assert described.annotations == {"a": "?"}


def test_a_config_tells_how_it_runs_and_how_it_was_made() -> None:
    document = {
        "created": "2026-01-01T00:00:00Z",
        "architecture": "arm64",
        "os": "linux",
        "variant": "v8",
        "config": {
            "User": "me",
            "Env": ["A=b", 3],
            "Cmd": ["run"],
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/data": {}},
            "Labels": {"a": "b"},
            "WorkingDir": "",
        },
        "history": [{"created_by": "COPY", "comment": "c"}, {"empty_layer": True}, "nonsense"],
    }
    assert describe_config(json.dumps(document).encode()) == ImageConfig(
        created="2026-01-01T00:00:00Z",
        platform=Platform("linux", "arm64", "v8"),
        user="me",
        env=["A=b"],
        cmd=["run"],
        exposed_ports=["80/tcp"],
        volumes=["/data"],
        labels={"a": "b"},
        history=[HistoryEntry(created_by="COPY", comment="c"), HistoryEntry(empty_layer=True)],
    )
