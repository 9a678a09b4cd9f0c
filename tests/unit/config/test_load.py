from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrepot.config.load import load_settings
from entrepot.config.schema import DEFAULT_UPSTREAMS, Settings, UpstreamSettings
from entrepot.config.secret import Secret
from entrepot.errors import SettingsInvalid

Load = Callable[..., Settings]
Complaints = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(
        text: str, environ: dict[str, str] | None = None, overrides: dict[str, Any] | None = None
    ) -> Settings:
        file = tmp_path / "entrepot.yaml"
        file.write_text(text)
        return load_settings(file, environ or {}, overrides or {})

    return load


@pytest.fixture
def complaints(load: Load, tmp_path: Path) -> Complaints:
    def complaints(*sources: Any) -> list[str]:
        with pytest.raises(SettingsInvalid) as failure:
            load(*sources)
        return str(failure.value).replace(f"{tmp_path}/", "").splitlines()

    return complaints


def test_without_any_source_the_defaults_hold() -> None:
    assert load_settings(None, {}, {}) == Settings()


@pytest.mark.parametrize("text", ["", "# nothing\n", "cache:\nlog:\nupstreams:\n"])
def test_an_empty_file_and_empty_sections_are_the_defaults(load: Load, text: str) -> None:
    assert load(text) == Settings()


def test_the_command_line_comes_before_the_environment_before_the_file(load: Load) -> None:
    text = "listen: :1\ndata: /1\ndefault_upstream: ghcr.io\n"
    settings = load(text, {"ENTREPOT_LISTEN": ":2", "ENTREPOT_DATA": "/2"}, {"listen": ":3"})
    assert (settings.listen, settings.data, settings.default_upstream) == (":3", "/2", "ghcr.io")


def test_sections_are_laid_over_each_other_setting_by_setting(load: Load) -> None:
    settings = load(
        "log: {level: error, access: no}", {"ENTREPOT_LOG__FORMAT": "console"}, {"log": {"level": "debug"}}
    )
    assert (settings.log.level, settings.log.format, settings.log.access) == ("debug", "console", False)


def test_upstreams_of_a_file_replace_the_built_in_ones(load: Load) -> None:
    assert list(load("upstreams: {docker.io: , quay.io: {}}").upstreams) == ["docker.io", "quay.io"]


def test_an_upstream_without_endpoints_is_served_by_its_own_host(load: Load) -> None:
    upstreams = load("upstreams: {docker.io: , registry.example: }").upstreams
    assert upstreams["docker.io"] == DEFAULT_UPSTREAMS["docker.io"]
    assert upstreams["registry.example"] == UpstreamSettings(endpoints=("https://registry.example",))


def test_an_upstream_of_the_command_line_is_added_to_what_is_configured(load: Load) -> None:
    settings = load("", {}, {"upstreams": {"a.example": {"endpoints": ["http://a:1", "http://b:2"]}}})
    assert len(settings.upstreams) == len(DEFAULT_UPSTREAMS) + 1
    assert settings.upstreams["a.example"].endpoints == ("http://a:1", "http://b:2")


def test_an_upstream_of_the_command_line_keeps_no_credential_of_the_one_it_replaces(load: Load) -> None:
    text = "upstreams: {docker.io: {username: u, password: p}}"
    settings = load(text, {}, {"upstreams": {"docker.io": {"endpoints": ["http://elsewhere"]}}})
    assert settings.upstreams == {"docker.io": UpstreamSettings(endpoints=("http://elsewhere",))}


def test_variables_may_speak_of_an_upstream_of_the_command_line(load: Load) -> None:
    environ = {
        "ENTREPOT_UPSTREAMS__A_EXAMPLE__MAX_CONNECTIONS": "4",
        "ENTREPOT_UPSTREAMS__A_EXAMPLE__ENDPOINTS": "http://no",
    }
    settings = load("", environ, {"upstreams": {"a.example": {"endpoints": ["http://a"]}}})
    assert settings.upstreams["a.example"] == UpstreamSettings(endpoints=("http://a",), max_connections=4)


def test_the_first_upstream_is_the_default_where_docker_io_is_absent(load: Load) -> None:
    assert load("upstreams: {quay.io: , ghcr.io: }").default_upstream == "quay.io"
    assert load("upstreams: {quay.io: , docker.io: }").default_upstream == "docker.io"


def test_paths_start_from_the_folder_of_the_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    settings = load("data: ./data\nupstreams: {docker.io: {docker_config: f}}")
    assert settings.data == str(tmp_path / "data")
    assert settings.upstreams["docker.io"].docker_config == str(tmp_path / "f")


def test_paths_of_other_sources_start_from_the_working_folder(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert load("", {"ENTREPOT_DATA": "a"}).data == str(tmp_path / "here" / "a")
    assert load("", {}, {"data": "b"}).data == str(tmp_path / "here" / "b")


def test_text_is_taken_as_it_is_written(load: Load) -> None:
    upstream = load(
        "upstreams: {docker.io: {username: 1_0, password: 0123, tag_rules: [{tags: 1.10}]}}"
    ).upstreams["docker.io"]
    assert (upstream.username, upstream.password, upstream.tag_rules[0].tags) == (
        "1_0",
        Secret("0123"),
        "1.10",
    )


def test_all_problems_are_told_at_once_in_the_order_of_their_lines(complaints: Complaints) -> None:
    text = """\
listen: 5000
cach: {}
cache: {max_size: 0, memory: lots}
drain_timeout:
log: {level: loud, access: maybe}
upstreams:
  docker.io:
    timeouts: {connect: 5 parsecs, read: 0s}
    max_connections: 0
    tag_rules: [{fresh_for: 5s}, late]
  quay.io: yes
"""
    assert complaints(text) == [
        'entrepot.yaml:1: listen: expected HOST:PORT, [IPV6]:PORT or :PORT, the port from 0 to 65535, found "5000"',
        "entrepot.yaml:2: cach: no such setting; did you mean cache?",
        'entrepot.yaml:3: cache.max_size: expected more than zero, found "0"',
        'entrepot.yaml:3: cache.memory: expected a size like 64KiB, 500MB or 200GiB, found "lots"',
        "entrepot.yaml:4: drain_timeout: expected a duration like 30s, found nothing",
        'entrepot.yaml:5: log.level: expected debug or error or info or warning, found "loud"',
        'entrepot.yaml:5: log.access: expected true or false, found "maybe"',
        'entrepot.yaml:8: upstreams.docker.io.timeouts.connect: expected a duration like 500ms, 30s, 5m, 12h or 30d, found "5 parsecs"',
        'entrepot.yaml:8: upstreams.docker.io.timeouts.read: expected more than zero, found "0s"',
        'entrepot.yaml:9: upstreams.docker.io.max_connections: expected a whole number, at least 1, found "0"',
        "entrepot.yaml:10: upstreams.docker.io.tag_rules[0]: expected the setting tags as well",
        'entrepot.yaml:10: upstreams.docker.io.tag_rules[1]: expected a mapping, key: value, found "late"',
        'entrepot.yaml:11: upstreams.quay.io: expected a mapping, key: value, found "yes"',
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a", "entrepot.yaml: expected a mapping of settings, key: value"),
        ("just text", "entrepot.yaml: expected a mapping of settings, key: value"),
        ("listen: [a]", "entrepot.yaml:1: listen: expected text, found a list"),
        ("listen: {a: b}", "entrepot.yaml:1: listen: expected text, found a mapping"),
        ("upstreams: 3", 'entrepot.yaml:1: upstreams: expected a mapping, key: value, found "3"'),
        ("upstreams: {}", "entrepot.yaml:1: upstreams: expected at least one upstream"),
        (
            "upstreams: {docker.io: {endpoints: https://a}}",
            'entrepot.yaml:1: upstreams.docker.io.endpoints: expected a list, found "https://a"',
        ),
        (
            "upstreams: {docker.io: {repositories: {allow: ['']}}}",
            'entrepot.yaml:1: upstreams.docker.io.repositories.allow[0]: expected a pattern such as library/* or v*.*.*, found ""',
        ),
        (
            "upstreams: {docker.io: {retention: {pin: ['a:b:c']}}}",
            'entrepot.yaml:1: upstreams.docker.io.retention.pin[0]: expected a pattern such as library/* or library/postgres:16*, found "a:b:c"',
        ),
        (
            "upstreams: {docker.io: {retention: {\npin: ['library/*', 'postgres:16*']}}}",
            "entrepot.yaml:2: upstreams.docker.io.retention.pin: no repository of docker.io is called postgres: expected library/postgres:16*",
        ),
        (
            "sync:\n- {name: a/b, upstream: docker.io, repositories: [alpine], poll_interval: 1h}",
            'entrepot.yaml:2: sync[0].name: expected a name without slashes, such as base images, found "a/b"',
        ),
        (
            "upstreams:\n  docker.io:\n    retention:\n      keep_for: 0d",
            'entrepot.yaml:4: upstreams.docker.io.retention.keep_for: expected more than zero, found "0d"',
        ),
        (
            "upstreams: {docker.io: {retention:\n {expire_after: 1h,\n keep_for: 2h}}}",
            "entrepot.yaml:3: upstreams.docker.io.retention.keep_for: expected at most expire_after, which ends it all the same",
        ),
        (
            "upstreams: {docker.io: {retention_rules: [{keep_for: 1h}]}}",
            "entrepot.yaml:1: upstreams.docker.io.retention_rules[0]: expected the setting repositories as well",
        ),
        (
            "upstreams: {docker.io: {\nretention_rules: [{repositories: a/*}]}}",
            "entrepot.yaml:2: upstreams.docker.io.retention_rules: expected keep_for or expire_after for a/* as well",
        ),
        (
            "upstreams: {docker.io: {retention_rules: [{repositories: a, keep_for: 2h, expire_after: 1h}]}}",
            "entrepot.yaml:1: upstreams.docker.io.retention_rules: expected keep_for of a to be at most its expire_after",
        ),
        (
            "\ndefault_upstream: quai.io",
            'entrepot.yaml:2: default_upstream: expected one of the upstreams, found "quai.io"; did you mean quay.io?',
        ),
        (
            "listen: " + "x" * 99,
            f'entrepot.yaml:1: listen: expected HOST:PORT, [IPV6]:PORT or :PORT, the port from 0 to 65535, found "{"x" * 60}..."',
        ),
    ],
)
def test_each_mistake_has_one_complaint(complaints: Complaints, text: str, complaint: str) -> None:
    assert complaints(text) == [complaint]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("{password: x}", "password: expected the setting username as well"),
        ("{username: x}", "username: expected the setting password, or password_file, as well"),
        (
            "{username: x, password: x, password_file: f}",
            "password_file: expected one way to a password, and there is password already",
        ),
        ("{username: x, docker_config: f}", "username: expected no user name, which docker_config tells"),
        (
            "{docker_config: f, credential_helper: sh}",
            "docker_config: expected one way to a password, and there is credential_helper already",
        ),
        ("{client_cert: f}", "client_cert: expected the setting client_key as well"),
        ("{client_key: f}", "client_key: expected the setting client_cert as well"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    complaints: Complaints, tmp_path: Path, settings: str, complaint: str
) -> None:
    (tmp_path / "f").touch()
    assert complaints(f"upstreams:\n  docker.io:\n    {settings}\n") == [
        f"entrepot.yaml:3: upstreams.docker.io.{complaint}"
    ]


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ("{username: x, password_file: nowhere}", "password_file"),
        ("{client_cert: nowhere, client_key: f}", "client_cert"),
    ],
)
def test_what_is_given_and_wrong_is_not_called_missing(
    complaints: Complaints, tmp_path: Path, settings: str, wrong: str
) -> None:
    (tmp_path / "f").touch()
    (told,) = complaints(f"upstreams:\n  docker.io:\n    {settings}\n")
    assert told.startswith(f"entrepot.yaml:3: upstreams.docker.io.{wrong}: expected a file, and ")


@pytest.mark.parametrize(
    "settings",
    [
        "{username: u, password: p}",
        "{username: u, password_file: f}",
        "{credential_helper: sh}",
        "{docker_config: f}",
        "{}",
    ],
)
def test_settings_that_fit_together_are_taken(load: Load, tmp_path: Path, settings: str) -> None:
    (tmp_path / "f").touch()
    assert list(load(f"upstreams: {{docker.io: {settings}}}").upstreams) == ["docker.io"]


@pytest.mark.parametrize(
    ("sync", "complaint"),
    [
        ("{upstream: quai.io, schedule: 0 3 1 1 1}", 'sync n: expected one of the upstreams, found "quai.io"; did you mean quay.io?'),
        ("{upstream: quay.io}", "sync n: expected either schedule or poll_interval"),
        ("{upstream: quay.io, schedule: 0 3 1 1 1, poll_interval: 6h}", "sync n: expected either schedule or poll_interval"),
        ("{upstream: quay.io, poll_interval: 6h, repositories: []}", "sync n: expected at least one repository, or a pattern"),
        ("{upstream: quay.io, schedule: daily}", 'sync[0].schedule: expected minute, hour, day, month and weekday, such as 0 3 * * *, found "daily"'),
        ("{upstream: quay.io, poll_interval: 6h, semver: latest}", 'sync[0].semver: expected a range of versions such as >=1.2 <2 or ^1.4, found "latest"'),
        ("{upstream: quay.io, poll_interval: 6h, tag_regex: '['}", 'sync[0].tag_regex: expected a regular expression: unterminated character set at position 0, found "["'),
        ("{upstream: quay.io, poll_interval: 6h, platforms: [amd64]}", 'sync[0].platforms[0]: expected a platform such as linux/amd64 or linux/arm64/v8, found "amd64"'),
    ],
)  # fmt: skip
def test_a_sync_that_cannot_run_is_refused(complaints: Complaints, sync: str, complaint: str) -> None:
    settings = {"name": "n", "repositories": ["r"], **yaml.safe_load(sync)}
    document = json.dumps({"sync": [settings]})
    assert complaints(document) == [f"entrepot.yaml:1: {complaint}"]


def test_each_sync_has_a_name_of_its_own(complaints: Complaints) -> None:
    one = "{name: n, upstream: quay.io, repositories: [r], poll_interval: 6h}"
    assert complaints(f"sync: [{one}, {one}]") == [
        "entrepot.yaml:1: sync: expected each name once, found n twice"
    ]


def test_a_host_name_means_one_upstream(complaints: Complaints) -> None:
    text = "upstreams:\n  docker.io: {hostnames: [a.b, a.b]}\n  quay.io: {hostnames: [c.d, a.b]}\n"
    assert complaints(text) == [
        "entrepot.yaml:3: upstreams.quay.io.hostnames: expected each host name once, and a.b means docker.io already"
    ]


def test_no_complaint_shows_a_secret(complaints: Complaints) -> None:
    text = """\
upstreams:
  docker.io:
    password: {hunter2: hunter2}
    passwrod: hunter2
    proxy: http://u:hunter2@proxy/path
    endpoints: ["https://u:hunter2@host"]
"""
    told = "\n".join(complaints(text))
    assert told.count("\n") == 3
    assert "hunter2" not in told


def test_the_command_line_is_named_where_it_is_wrong(complaints: Complaints) -> None:
    told = complaints("", {}, {"upstreams": {"Hub!": {"endpoints": ["a"]}}, "listen": "x"})
    assert sorted(told) == [
        'command line: listen: expected HOST:PORT, [IPV6]:PORT or :PORT, the port from 0 to 65535, found "x"',
        'command line: upstreams.Hub!.endpoints[0]: expected a URL such as https://registry.example, found "a"',
        'command line: upstreams.Hub!: expected a host in lower case, with or without a port, such as cache.example:5000, found "Hub!"',
    ]
