from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from yaml.scanner import Scanner

from entrepot.cli.workload_files import read_compose, read_kubernetes
from entrepot.testing.waiting import PATIENCE


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


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_nesting_without_end_is_refused(tmp_path: Path, opening: str) -> None:
    """In a process of its own, as it would be ended by what is not refused in time."""
    file = tmp_path / "deep.yaml"
    file.write_text(opening * 100_000)
    script = (
        "import sys; from entrepot.cli.workload_files import read_kubernetes; read_kubernetes(sys.argv[1])"
    )
    command = [sys.executable, "-c", script, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "deep.yaml is no YAML" in done.stderr
