"""What is printed is read here as its client reads it; the real clients have tests of their own."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from entrepot.cli.main import main
from entrepot.config.schema import DEFAULT_UPSTREAMS

PLAIN, SECURE = "http://cache.example:5000", "https://cache.example"
HUB_AND_QUAY = ("--upstream", "docker.io", "--upstream", "quay.io")


def run(client: str, url: str, *arguments: str, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(main, ["client-config", client, "--url", url, *arguments])


def stdout(client: str, url: str, *arguments: str) -> str:
    result = run(client, url, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def toml(client: str, url: str, *arguments: str) -> dict[str, Any]:
    return tomllib.loads(stdout(client, url, *arguments))


@pytest.mark.parametrize(
    ("url", "daemon"),
    [
        (PLAIN, {"registry-mirrors": [PLAIN], "insecure-registries": ["cache.example:5000"]}),
        (SECURE, {"registry-mirrors": [SECURE]}),
        ("http://127.0.0.2:5000", {"registry-mirrors": ["http://127.0.0.2:5000"]}),
        ("http://[::1]:5000/", {"registry-mirrors": ["http://[::1]:5000"]}),
        ("http://localhost:5000", {"registry-mirrors": ["http://localhost:5000"]}),
    ],
)
def test_dockerd_gets_a_mirror_and_trust_where_it_has_none_by_itself(
    url: str, daemon: dict[str, Any]
) -> None:
    assert json.loads(stdout("docker", url)) == daemon


def test_dockerd_gets_no_mirror_where_the_cache_has_no_docker_io() -> None:
    result = run("docker", PLAIN, "--upstream", "quay.io")
    assert json.loads(result.stdout) == {"insecure-registries": ["cache.example:5000"]}
    assert "docker pull cache.example:5000/quay.io/NAME" in result.stderr


def test_dockerd_is_given_no_file_where_there_is_nothing_to_write() -> None:
    result = run("docker", SECURE, "--upstream", "quay.io")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Nothing to write: docker.io is not among the registries.\n")


def test_containerd_gets_one_file_for_every_registry() -> None:
    assert toml("containerd", PLAIN) == {"host": {PLAIN: {"capabilities": ["pull", "resolve"]}}}
    assert stdout("containerd", PLAIN).startswith("# /etc/containerd/certs.d/_default/hosts.toml\n")


def test_containerd_gets_a_file_for_each_registry_that_is_named() -> None:
    printed = stdout("containerd", SECURE, *HUB_AND_QUAY)
    files = printed.split("\n\n")
    assert [file.splitlines()[0] for file in files] == [
        "# /etc/containerd/certs.d/docker.io/hosts.toml",
        "# /etc/containerd/certs.d/quay.io/hosts.toml",
    ]
    assert [tomllib.loads(file)["host"].keys() for file in files] == [{SECURE}, {SECURE}]


def test_several_files_for_containerd_are_to_be_redirected_one_at_a_time() -> None:
    assert "redirect one at a time" in run("containerd", SECURE, *HUB_AND_QUAY).stderr
    assert "redirect one at a time" not in run("containerd", SECURE, "--upstream", "quay.io").stderr


def test_containerd_is_told_where_both_its_major_versions_want_the_folder_named() -> None:
    notes = run("containerd", PLAIN).stderr
    assert all(
        name in notes for name in ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri", "config_path")
    )


def test_podman_gets_a_mirror_by_path_for_each_registry() -> None:
    assert toml("podman", PLAIN, *HUB_AND_QUAY)["registry"] == [
        {
            "prefix": name,
            "location": name,
            "mirror": [{"location": f"cache.example:5000/{name}", "insecure": True}],
        }
        for name in ("docker.io", "quay.io")
    ]


def test_podman_has_nothing_insecure_with_https() -> None:
    assert toml("podman", SECURE, "--upstream", "quay.io")["registry"][0]["mirror"] == [
        {"location": "cache.example/quay.io"}
    ]


def test_podman_is_spared_names_that_its_references_cannot_hold() -> None:
    result = run("podman", SECURE, "--upstream", "quay.io", "--upstream", "registry:5000")
    assert [table["prefix"] for table in tomllib.loads(result.stdout)["registry"]] == ["quay.io"]
    assert "Left out: registry:5000" in result.stderr


@pytest.fixture
def ported(tmp_path: Path) -> str:
    """Configure a registry with a port in its name, and a host name of the cache that means it."""
    file = tmp_path / "entrepot.yaml"
    file.write_text("upstreams: {docker.io: , 'registry:5000': {hostnames: [registry.cache.example]}}")
    return str(file)


@pytest.mark.parametrize(
    ("url", "mirror"),
    [
        (PLAIN, {"location": "registry.cache.example:5000", "insecure": True}),
        (SECURE, {"location": "registry.cache.example"}),
    ],
)
def test_podman_mirrors_a_registry_with_a_port_under_its_host_name(
    ported: str, url: str, mirror: dict[str, Any]
) -> None:
    result = run("podman", url, "--config", ported)
    table = tomllib.loads(result.stdout)["registry"][1]
    assert table == {"prefix": "registry:5000", "location": "registry:5000", "mirror": [mirror]}
    assert "Left out" not in result.stderr


def test_dockerd_pulls_from_a_registry_with_a_port_by_its_host_name(ported: str) -> None:
    result = run("docker", PLAIN, "--config", ported)
    trusted = ["cache.example:5000", "registry.cache.example:5000"]
    assert json.loads(result.stdout)["insecure-registries"] == trusted
    assert "docker pull registry.cache.example:5000/NAME" in result.stderr
    assert "Left out: registry:5000" in run("docker", PLAIN, "--upstream", "registry:5000").stderr


def test_buildkit_gets_the_plain_address_as_mirror_and_its_scheme_apart() -> None:
    assert toml("buildkit", PLAIN, *HUB_AND_QUAY)["registry"] == {
        "docker.io": {"mirrors": ["cache.example:5000"]},
        "quay.io": {"mirrors": ["cache.example:5000"]},
        "cache.example:5000": {"http": True},
    }
    assert toml("buildkit", SECURE, "--upstream", "quay.io")["registry"] == {
        "quay.io": {"mirrors": ["cache.example"]}
    }


def test_k3s_gets_an_endpoint_for_each_registry() -> None:
    printed = yaml.safe_load(stdout("k3s", PLAIN, *HUB_AND_QUAY, "--upstream", "registry:5000"))
    assert printed == {
        "mirrors": {name: {"endpoint": [PLAIN]} for name in ("docker.io", "quay.io", "registry:5000")}
    }


@pytest.mark.parametrize("client", ["podman", "buildkit", "k3s"])
def test_without_names_every_configured_registry_is_covered(client: str) -> None:
    assert all(name in stdout(client, SECURE) for name in DEFAULT_UPSTREAMS)


def test_names_come_from_the_configuration_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "entrepot.yaml").write_text("upstreams: {quay.io: }")
    printed = yaml.safe_load(stdout("k3s", SECURE, "--config", str(tmp_path / "entrepot.yaml")))
    assert list(printed["mirrors"]) == ["quay.io"]


@pytest.mark.parametrize(
    ("client", "path"),
    [
        ("docker", "/etc/docker/daemon.json"),
        ("containerd", "/etc/containerd/certs.d/_default/hosts.toml"),
        ("podman", "/etc/containers/registries.conf.d/50-entrepot.conf"),
        ("buildkit", "/etc/buildkit/buildkitd.toml"),
        ("k3s", "/etc/rancher/k3s/registries.yaml"),
    ],
)
def test_the_place_of_the_file_is_told_apart_from_its_content(client: str, path: str) -> None:
    assert run(client, PLAIN).stderr.splitlines()[0] == f"File: {path}"


@pytest.mark.parametrize(
    "url",
    [
        "cache.example:5000",
        "http://cache.example:99999",
        "http://cache.example/path",
        "https://u:p@cache.example",
        "ftp://x",
    ],
)
def test_an_address_that_clients_cannot_use_is_refused(url: str) -> None:
    result = run("docker", url)
    assert result.exit_code == 2
    assert "Invalid value for '--url': expected" in result.stderr


@pytest.mark.parametrize("url", ["https://u:hunter2@cache.example", "u:hunter2@cache.example"])
def test_a_password_in_the_address_is_not_shown(url: str) -> None:
    assert "hunter2" not in run("docker", url).output


def test_podman_cannot_name_a_cache_by_its_ipv6_address() -> None:
    result = run("podman", "http://[::1]:5000")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for '--url': expected a host name or an IPv4 address" in result.stderr


def test_a_name_that_is_no_registrys_is_refused() -> None:
    result = run("k3s", PLAIN, "--upstream", 'a"b')
    assert result.exit_code == 2
    assert "Invalid value for '--upstream'" in result.stderr


def test_an_upstream_that_the_configuration_has_not_is_told() -> None:
    result = run("podman", PLAIN, "--upstream", "docker.io", "--upstream", "absent.test")
    assert result.exit_code == 0
    assert "has no upstream absent.test, and the cache needs one.\n" in result.stderr
    assert "has no upstream docker.io" not in result.stderr
    misspelt = run("podman", PLAIN, "--upstream", "docker.oi")
    assert "has no upstream docker.oi, and the cache needs one; did you mean docker.io?\n" in misspelt.stderr
