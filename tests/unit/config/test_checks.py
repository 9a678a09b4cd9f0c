"""Checks of certificates and keys; those between other settings are tested where settings are loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.config.load import load_settings
from entrepot.errors import SettingsInvalid

Complaints = Callable[[str], list[str]]
LOCKED = "the key has a passphrase: give it without one"


@pytest.fixture
def complaints(certificates: Path) -> Complaints:
    """Tell what is wrong with a text; its files are those of ``certificates``."""

    def complaints(text: str) -> list[str]:
        file = certificates / "entrepot.yaml"
        file.write_text(text)
        try:
            load_settings(file, {}, {})
        except SettingsInvalid as failure:
            return str(failure).replace(f"{certificates}/", "").splitlines()
        return []

    return complaints


def test_a_certificate_and_its_key_are_taken(complaints: Complaints) -> None:
    assert complaints("tls: {certificate: a.pem, key: a.key}") == []
    text = "upstreams: {docker.io: {client_cert: a.pem, client_key: a.key, ca_file: b.pem}}"
    assert complaints(text) == []


@pytest.mark.parametrize(
    ("certificate", "key", "complaint"),
    [
        ("a.pem", "b.key", "a.pem and b.key are no certificate and its key: key values mismatch"),
        ("locked.pem", "locked.key", LOCKED),
    ],
)
def test_files_that_are_no_pair_are_refused_where_the_key_is_named(
    complaints: Complaints, certificate: str, key: str, complaint: str
) -> None:
    told = complaints(f"tls:\n  certificate: {certificate}\n  key: {key}\n")
    assert told == [f"entrepot.yaml:3: tls.key: {complaint}"]
    told = complaints(f"upstreams:\n  docker.io:\n    client_cert: {certificate}\n    client_key: {key}\n")
    assert told == [f"entrepot.yaml:4: upstreams.docker.io.client_key: {complaint}"]


def test_a_file_without_a_certificate_is_refused(complaints: Complaints) -> None:
    (told,) = complaints("tls: {certificate: empty, key: a.key}")
    assert told.startswith("entrepot.yaml:1: tls.key: empty and a.key are no certificate and its key: ")
    (told,) = complaints("upstreams: {docker.io: {ca_file: empty}}")
    assert told.startswith(
        "entrepot.yaml:1: upstreams.docker.io.ca_file: empty is no PEM file of certificates: "
    )


@pytest.mark.parametrize(
    ("audit", "complaint"),
    [
        ("file_size: 1KiB", "entrepot.yaml:1: audit.file_size: expected at least 1MiB"),
        (
            "keep_size: 15MiB",
            "entrepot.yaml:1: audit.keep_size: expected at least 16MiB, twice what file_size says",
        ),
        (
            "enabled: false, syslog: udp://log:514",
            "entrepot.yaml:1: audit.enabled: expected true: what is forwarded is read from the files",
        ),
        (
            "webhook: {url: https://log, ca_file: b.key}",
            "entrepot.yaml:1: audit.webhook: b.key is no PEM file of certificates:",
        ),
    ],
)
def test_settings_of_the_audit_log_that_do_not_fit_together_are_refused(
    complaints: Complaints, audit: str, complaint: str
) -> None:
    (found,) = complaints(f"audit: {{{audit}}}")
    assert found.startswith(complaint)
