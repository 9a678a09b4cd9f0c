from __future__ import annotations

from typing import Any

import pytest

from entrepot.policy.workloads import (
    UnsetVariable,
    images_of_compose,
    images_of_kubernetes,
    images_of_list,
    read_variables,
)


def test_a_list_has_an_image_a_line_and_comments() -> None:
    text = "# what we run\nalpine:3\n\n  ghcr.io/o/n:v1  # the frontend\nalpine:3\n"
    assert images_of_list(text) == ["alpine:3", "ghcr.io/o/n:v1"]


def test_a_compose_file_names_the_images_of_its_services() -> None:
    document = {
        "services": {
            "web": {"image": "nginx:${TAG:-1.27}"},
            "database": {"image": "postgres:$VERSION"},
            "again": {"image": "nginx:1.27"},
            "built": {"build": ".", "image": "registry.local/ours"},
            "extended": {"extends": {"service": "web"}},
            "odd": None,
        },
        "x-image": {"image": "not/this"},
    }
    assert images_of_compose(document, {"VERSION": "17"}) == ["nginx:1.27", "postgres:17"]


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("a:${T}", "a:set"),
        ("a:$T", "a:set"),
        ("a:${T:-x}", "a:set"),
        ("a:${T-x}", "a:set"),
        ("a:${E:-x}", "a:x"),
        ("a:${E-x}", "a:"),
        ("a:${U:-x}", "a:x"),
        ("a:${U-x}", "a:x"),
        ("a:${U-}", "a:"),
        ("a${T:+:1}", "a:1"),
        ("a${U:+:1}", "a"),
        ("a${E+:1}", "a:1"),
        ("${R:-docker.io/}a:${T?needed}", "docker.io/a:set"),
        ("a:$$T", "a:$T"),
        ("a:${U:-${T}}", "a:set"),
        ("a:${U:-${E:-${V-x}}-${T}}", "a:x-set"),
        ("a:${T:-${U:?not needed}}", "a:set"),
        ("a${T:+:${T}}", "a:set"),
    ],
)
def test_a_compose_files_variables_are_those_of_compose(text: str, image: str) -> None:
    document = {"services": {"one": {"image": text}}}
    assert images_of_compose(document, {"T": "set", "E": ""}) == [image]


@pytest.mark.parametrize("text", ["a:$U", "a:${U}", "a:${U:?say which}", "a:${E:?say which}", "a:${E:-$U}"])
def test_a_variable_without_a_value_is_named(text: str) -> None:
    with pytest.raises(UnsetVariable, match=r"the variable [UE] is not set(: say which)?"):
        images_of_compose({"services": {"one": {"image": text}}}, {"E": ""})


def test_variables_are_read_from_a_file_of_them() -> None:
    text = "# tags\nA=1\n B = two # the second\nexport C='a # b' # c\nD=\"x\"\nE=\nno variable\nF=a=b\n"
    assert read_variables(text) == {"A": "1", "B": "two", "C": "a # b", "D": "x", "E": "", "F": "a=b"}


def test_kubernetes_manifests_name_the_images_of_all_containers() -> None:
    pod: dict[str, Any] = {
        "initContainers": [{"name": "i", "image": "init:1"}],
        "containers": [{"name": "c", "image": "main:1"}, {"name": "n"}],
        "ephemeralContainers": [{"image": "debug:1"}],
        "volumes": [{"name": "m", "image": {"reference": "model:1"}}, {"name": "e", "emptyDir": {}}],
    }
    documents = [
        {"kind": "Pod", "spec": pod},
        None,
        {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"image": "main:2"}]}}}},
        {
            "kind": "CronJob",
            "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"image": "job:1"}]}}}}},
        },
        {
            "kind": "List",
            "items": [{"kind": "Pod", "spec": {"containers": [{"image": "main:1"}, {"image": "item:1"}]}}],
        },
        {
            "kind": "Rollout",
            "apiVersion": "argoproj.io/v1alpha1",
            "spec": {"template": {"spec": {"containers": [{"image": "crd:1"}]}}},
        },
    ]
    assert images_of_kubernetes(documents) == [
        "init:1", "main:1", "debug:1", "model:1", "main:2", "job:1", "item:1", "crd:1",
    ]  # fmt: skip


def test_what_is_no_container_names_no_image() -> None:
    documents = [
        {"kind": "ConfigMap", "data": {"image": "not/this"}},
        {"kind": "Thing", "spec": {"image": {"repository": "not/this", "tag": "1"}, "containers": "none"}},
        {"containers": {"image": "not/this"}},
        {"containers": [None, {"image": 5}, {"image": " "}]},
        "text",
        7,
    ]
    assert images_of_kubernetes(documents) == []
