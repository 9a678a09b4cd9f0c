from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from entrepot.config.load import load_settings
from entrepot.config.schema import FreshnessSettings, Settings, TagRule, UpstreamSettings
from entrepot.config.secret import HIDDEN, Secret
from entrepot.config.show import render_settings
from entrepot.config.units import Amount, Bytes, Seconds

FULL = msgspec.structs.replace(
    Settings(),
    listen="[::1]:5000",
    data="/srv/cache",
    cache=msgspec.structs.replace(Settings().cache, max_size=Amount(Bytes(200 << 30))),
    upstreams={
        "docker.io": UpstreamSettings(
            endpoints=("https://a", "http://b:1"),
            hostnames=("docker.cache.example",),
            freshness=FreshnessSettings(fresh_for=Seconds(0.5), immutable_tags=("v*.*.*", "1.10", "on")),
            tag_rules=(TagRule(tags="nightly-*", fresh_for=Seconds(5)),),
        ),
        "registry:5000": UpstreamSettings(endpoints=("http://registry:5000",)),
    },
)


@pytest.mark.parametrize("settings", [Settings(), FULL], ids=["defaults", "full"])
def test_what_is_shown_loads_as_the_same(tmp_path: Path, settings: Settings) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(render_settings(settings))
    assert load_settings(file, {}, {}) == settings


def test_secrets_are_hidden_and_still_load(tmp_path: Path) -> None:
    upstream = UpstreamSettings(
        endpoints=("https://a",), username="u", password=Secret("hunter2"), proxy="http://u:hunter2@proxy:1"
    )
    shown = render_settings(Settings(upstreams={"docker.io": upstream}))
    assert "hunter2" not in shown
    file = tmp_path / "shown.yaml"
    file.write_text(shown)
    assert load_settings(file, {}, {}).upstreams["docker.io"].password == Secret(HIDDEN)
