from __future__ import annotations

import pytest

from entrepot.config.kinds import SETTINGS, Kind, fields_of, kind_of
from entrepot.config.load import load_settings
from entrepot.config.schema import Settings, TagRule, UpstreamSettings
from entrepot.config.secret import Secret
from entrepot.config.units import Amount, Bytes, Seconds
from entrepot.errors import SettingsInvalid


def load(**environ: str) -> Settings:
    return load_settings(None, environ, {})


def complaints(**environ: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as failure:
        load(**environ)
    return str(failure.value).splitlines()


def test_two_underscores_stand_between_levels() -> None:
    settings = load(ENTREPOT_CACHE__MAX_SIZE="1GiB", ENTREPOT_LOG__LEVEL="debug", ENTREPOT_DRAIN_TIMEOUT="1m")
    assert settings.cache.max_size == Amount(Bytes(1 << 30))
    assert settings.log.level == "debug"
    assert settings.drain_timeout == Seconds(60)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("docker.io", "ENTREPOT_UPSTREAMS__DOCKER_IO__PROXY"),
        ("docker.io", "ENTREPOT_UPSTREAMS__docker_io__proxy"),
        ("registry.local:5000", "ENTREPOT_UPSTREAMS__REGISTRY_LOCAL_5000__PROXY"),
        ("my--own-registry.example", "ENTREPOT_UPSTREAMS__MY__OWN_REGISTRY_EXAMPLE__PROXY"),
    ],
)
def test_an_upstream_of_any_name_can_be_spoken_of(name: str, variable: str) -> None:
    settings = load(**{"ENTREPOT_UPSTREAMS": f'{{"{name}": {{}}}}', variable: "http://proxy:1"})
    assert settings.upstreams[name].proxy == "http://proxy:1"


def test_two_upstreams_that_share_a_variable_cannot_be_told_apart_by_it() -> None:
    upstreams = "{a-b.io: {}, a.b.io: {}}"
    assert load(ENTREPOT_UPSTREAMS=upstreams).default_upstream == "a-b.io"
    assert complaints(ENTREPOT_UPSTREAMS=upstreams, ENTREPOT_UPSTREAMS__A_B_IO__USERNAME="u") == [
        "ENTREPOT_UPSTREAMS__A_B_IO__USERNAME: expected one setting, and it names upstreams.a-b.io.username and upstreams.a.b.io.username"
    ]


def test_all_upstreams_come_from_one_variable_as_yaml_or_json() -> None:
    expected = {"a.io": UpstreamSettings(endpoints=("http://a",))}
    assert load(ENTREPOT_UPSTREAMS='{"a.io": {"endpoints": ["http://a"]}}').upstreams == expected
    assert load(ENTREPOT_UPSTREAMS="a.io:\n  endpoints:\n    - http://a\n").upstreams == expected


def test_lists_are_separated_by_commas_or_a_list() -> None:
    variable = "ENTREPOT_UPSTREAMS__DOCKER_IO__ENDPOINTS"
    for text in ("http://a, http://b,", '["http://a", "http://b"]', "[http://a, http://b]"):
        assert load(**{variable: text}).upstreams["docker.io"].endpoints == ("http://a", "http://b")


def test_sections_and_lists_of_sections_are_yaml_or_json() -> None:
    settings = load(
        ENTREPOT_CACHE="{max_size: 1GiB, memory: 1MiB}",
        ENTREPOT_CACHE__MEMORY="2MiB",
        ENTREPOT_UPSTREAMS__DOCKER_IO__TAG_RULES='[{"tags": "nightly-*", "fresh_for": "5s"}]',
    )
    assert (settings.cache.max_size, settings.cache.memory) == (Amount(Bytes(1 << 30)), Bytes(2 << 20))
    assert settings.upstreams["docker.io"].tag_rules == (TagRule(tags="nightly-*", fresh_for=Seconds(5)),)


def test_a_password_is_taken_as_it_is() -> None:
    strange = "[*&! #{,"
    settings = load(ENTREPOT_UPSTREAMS__QUAY_IO__USERNAME="u", ENTREPOT_UPSTREAMS__QUAY_IO__PASSWORD=strange)
    assert settings.upstreams["quay.io"].password == Secret(strange)


def test_a_variable_set_to_nothing_counts_as_not_set() -> None:
    assert load(ENTREPOT_LISTEN="", ENTREPOT_UPSTREAMS="", ENTREPOT_CACHE__MEMORY="") == Settings()


def test_a_variable_that_names_no_setting_is_refused_with_a_suggestion() -> None:
    assert complaints(ENTREPOT_LISTN=":1", ENTREPOT_UPSTREAMS__QUAI_IO__USERNAME="u") == [
        "ENTREPOT_LISTN: no such setting; did you mean ENTREPOT_LISTEN?",
        "ENTREPOT_UPSTREAMS__QUAI_IO__USERNAME: no upstream is called QUAI_IO; did you mean QUAY_IO?",
    ]
    assert complaints(ENTREPOT_UPSTREAMS__QUAY_IO__USERNAM="u") == [
        "ENTREPOT_UPSTREAMS__QUAY_IO__USERNAM: no such setting; did you mean ENTREPOT_UPSTREAMS__QUAY_IO__USERNAME?"
    ]


def test_a_port_is_refused_that_kubernetes_does_not_announce() -> None:
    assert complaints(ENTREPOT_PORT="5001") == [
        "ENTREPOT_PORT: no such setting: the port goes to ENTREPOT_LISTEN, like :5000"
    ]


def test_a_wrong_value_is_refused_with_variable_and_key() -> None:
    assert complaints(ENTREPOT_CACHE__MEMORY="lots", ENTREPOT_CACHE="{memori: 1}") == [
        "ENTREPOT_CACHE:1: cache.memori: no such setting; did you mean memory?",
        'ENTREPOT_CACHE__MEMORY: cache.memory: expected a size like 64KiB, 500MB or 200GiB, found "lots"',
    ]


def test_broken_yaml_in_a_variable_has_one_complaint() -> None:
    assert complaints(ENTREPOT_UPSTREAMS="{a: ") == [
        "ENTREPOT_UPSTREAMS:1: is no YAML: while parsing a flow node, expected the node content, but found '<stream end>'"
    ]


@pytest.mark.parametrize(
    "variable",
    [
        "ENTREPOT_CONFIG",
        "ENTREPOT_PORT",
        "ENTREPOT_PORT_5000_TCP",
        "ENTREPOT_PORT_5000_TCP_ADDR",
        "ENTREPOT_SERVICE_HOST",
        "ENTREPOT_SERVICE_PORT",
        "ENTREPOT_SERVICE_PORT_HTTP",
        "ENTREPOT_CACHE_SERVICE_HOST",
        "ENTREPOTS",
        "PATH",
    ],
)
def test_what_is_no_setting_of_ours_is_left_alone(variable: str) -> None:
    assert load(**{variable: "tcp://10.0.0.1:5000"}) == Settings()


def test_every_setting_has_a_variable() -> None:
    """Whatever is wrong with the value, the name is known."""
    leaves = list(_leaves("ENTREPOT", SETTINGS))
    assert len(leaves) > 7
    for variable in leaves:
        for line in _complaints_if_any(variable):
            assert "no such setting" not in line, variable


def _leaves(prefix: str, section: Kind) -> list[str]:
    found = []
    for name, field in fields_of(section).items():
        variable = f"{prefix}_{name.upper()}" if prefix == "ENTREPOT" else f"{prefix}__{name.upper()}"
        found += [variable, *_leaves(variable, kind_of(field.type))]
    return found


def _complaints_if_any(variable: str) -> list[str]:
    try:
        load(**{variable: "x"})
    except SettingsInvalid as failure:
        return str(failure).splitlines()
    return []
