"""The example file, and that it shows what the schema knows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import yaml

from entrepot.config.kinds import SETTINGS, fields_of, kind_of
from entrepot.config.load import load_settings
from entrepot.config.schema import DEFAULT_UPSTREAMS, Settings, UpstreamSettings

EXAMPLE = Path(__file__).parents[3] / "docs" / "entrepot.example.yaml"


def test_copied_as_it_is_it_serves_two_registries_as_without_configuration() -> None:
    upstreams = {name: DEFAULT_UPSTREAMS[name] for name in ("docker.io", "ghcr.io")}
    assert load_settings(EXAMPLE, {}, {}) == Settings(data=str(EXAMPLE.parent / "data"), upstreams=upstreams)


def test_with_its_further_settings_it_shows_every_setting_there_is() -> None:
    document = yaml.safe_load(with_further_settings())
    assert document.keys() == fields_of(SETTINGS).keys()
    for section in ("tls", "cache", "log", "audit", "telemetry"):
        assert document[section].keys() == fields_of(kind_of(fields_of(SETTINGS)[section].type)).keys()
    # One of the ways to a password has to be enough.
    assert document["upstreams"]["docker.io"].keys() | {"password"} == set(UpstreamSettings.__struct_fields__)


def test_its_further_settings_load_too(tmp_path: Path, certificates: Path) -> None:
    for name in ("hub", "admin"):
        (tmp_path / name).touch()
    copies = {
        "x.pem": "b.pem",
        "c.pem": "a.pem",
        "k.pem": "a.key",
        "cache.pem": "b.pem",
        "cache.key": "b.key",
    }
    for name, original in copies.items():
        shutil.copy(certificates / original, tmp_path / name)
    one_way_to_a_password = re.sub(r".*(credential_helper|docker_config):.*\n", "", with_further_settings())
    file = tmp_path / "entrepot.yaml"
    file.write_text(one_way_to_a_password.replace("/run/secrets/", ""))
    settings = load_settings(file, {}, {})
    assert list(settings.upstreams) == ["docker.io", "ghcr.io", "registry.example:5000"]
    assert settings.upstreams["docker.io"].password_file == str(tmp_path / "hub")
    assert settings.upstreams["docker.io"].client_key == str(tmp_path / "k.pem")


def with_further_settings() -> str:
    return re.sub(r"^( *)#(?=\w)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
