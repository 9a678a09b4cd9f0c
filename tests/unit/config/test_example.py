"""The example file, and that it shows what the schema knows."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from entrepot.config.kinds import SETTINGS, fields_of, kind_of
from entrepot.config.load import load_settings
from entrepot.config.schema import UpstreamSettings

EXAMPLE = Path(__file__).parents[3] / "docs" / "entrepot.example.yaml"


def test_it_loads_as_it_is() -> None:
    settings = load_settings(EXAMPLE, {}, {})
    assert list(settings.upstreams) == ["docker.io", "ghcr.io", "registry.example:5000"]
    assert settings.cache.max_size == 200 << 30


def test_with_its_further_settings_it_shows_every_setting_there_is() -> None:
    document = yaml.safe_load(with_further_settings())
    assert document.keys() == fields_of(SETTINGS).keys()
    for section in ("tls", "cache", "log"):
        assert document[section].keys() == fields_of(kind_of(fields_of(SETTINGS)[section].type)).keys()
    # One of the ways to a password has to be enough.
    assert document["upstreams"]["docker.io"].keys() | {"password"} == set(UpstreamSettings.__struct_fields__)


def test_its_further_settings_load_too(tmp_path: Path) -> None:
    for name in ("hub", "x.pem", "c.pem", "k.pem", "cache.pem", "cache.key"):
        (tmp_path / name).touch()
    one_way_to_a_password = re.sub(r".*(credential_helper|docker_config):.*\n", "", with_further_settings())
    file = tmp_path / "entrepot.yaml"
    file.write_text(one_way_to_a_password.replace("/run/secrets/", ""))
    upstream = load_settings(file, {}, {}).upstreams["docker.io"]
    assert upstream.password_file == str(tmp_path / "hub")
    assert upstream.client_key == str(tmp_path / "k.pem")


def with_further_settings() -> str:
    return re.sub(r"^( *)#(?=\w)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
