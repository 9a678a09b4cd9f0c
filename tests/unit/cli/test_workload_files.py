from __future__ import annotations

from pathlib import Path

import pytest
from yaml.scanner import Scanner

from entrepot.cli.workload_files import read_compose, read_kubernetes


def test_manifests_of_a_whole_cluster_are_not_scanned_in_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes six times as long: a quarter of a minute for the manifests of a thousand pods."""
    monkeypatch.delattr(Scanner, "fetch_more_tokens")
    file = tmp_path / "pods.yaml"
    file.write_text("items:\n- spec:\n    containers:\n    - {image: 'alpine:3'}\n---\n# nothing\n")
    assert read_kubernetes(str(file)) == ["alpine:3"]


def test_tags_that_yaml_does_not_know_are_no_hindrance(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  a: {image: 'alpine:3', ports: !reset []}\n  b: !override {image: =}\n")
    assert read_compose(str(file)) == ["alpine:3", "="]
