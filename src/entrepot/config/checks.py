"""Checks between settings: what each may be on its own, the schema says."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Iterator
from collections.abc import Set as AbstractSet

from entrepot.config.certificates import load_authorities, load_pair
from entrepot.config.schema import (
    AdminSettings,
    AuditSettings,
    RetentionRule,
    RetentionSettings,
    Settings,
    SyncSettings,
    UpstreamSettings,
)
from entrepot.config.tree import Node, Problem
from entrepot.config.units import Bytes
from entrepot.errors import SettingsInvalid
from entrepot.policy.retention import Pin, likely_pin
from entrepot.policy.spelling import did_you_mean

__all__ = ["check_settings"]

_WAYS_TO_A_PASSWORD = ("password", "password_file", "credential_helper", "docker_config")
_SMALLEST_FILE = Bytes(1 << 20)
"""Of audit: several times what is written to it at once."""
_SHORTEST_TOKEN = 16


def check_settings(settings: Settings, tree: Node) -> Iterator[Problem]:
    """Yield what does not fit together; ``tree`` tells where it was written, upstreams at least."""
    upstreams = tree.children()["upstreams"]
    if upstreams.value == {}:
        yield Problem(upstreams.place, "upstreams", "expected at least one upstream")
    names = upstreams.children()
    if names and settings.default_upstream not in names:
        complaint = f'expected one of the upstreams, found "{settings.default_upstream}"'
        hint = did_you_mean(settings.default_upstream, names)
        yield Problem(tree.place_of("default_upstream"), "default_upstream", complaint + hint)
    yield from _check_hostnames(settings, tree)
    if settings.cache.low_watermark > settings.cache.high_watermark:
        most = settings.cache.high_watermark.written()
        complaint = f"expected at most high_watermark, which is {most}"
        yield Problem(tree.place_of("cache", "low_watermark"), "cache.low_watermark", complaint)
    if settings.tls is not None:
        for complaint in _check_files(load_pair, settings.tls.certificate, settings.tls.key):
            yield Problem(tree.place_of("tls", "key"), "tls.key", complaint)
    yield from _check_syncs(settings, tree)
    for setting, complaint in _check_audit(settings.audit):
        yield Problem(tree.place_of("audit", setting), f"audit.{setting}", complaint)
    for setting, complaint in _check_admin(settings.admin):
        yield Problem(tree.place_of("admin", setting), f"admin.{setting}", complaint)
    for name, upstream in settings.upstreams.items():
        written = names[name].children() if name in names else {}
        given = {setting for setting, node in written.items() if node.value is not None}
        for setting, complaint in _check_upstream(name, upstream, given):
            path = ("upstreams", name, *setting.split("."))
            yield Problem(tree.place_of(*path), f"upstreams.{name}.{setting}", complaint)


def _check_upstream(
    name: str, upstream: UpstreamSettings, given: AbstractSet[str]
) -> Iterator[tuple[str, str]]:
    """Yield the settings at fault, with the complaint."""
    yield from _check_credential(upstream, given)
    yield from _check_certificates(upstream)
    yield from _check_retention(upstream)
    for pin in map(Pin.parse, upstream.retention.pin):
        if (meant := likely_pin(name, pin)) != pin:
            yield "retention.pin", f"no repository of {name} is called {pin.repositories}: expected {meant}"


def _check_syncs(settings: Settings, tree: Node) -> Iterator[Problem]:
    members = tree.children()["sync"].value if settings.sync else ()
    written = {str(node.children()["name"].value): node for node in members or () if isinstance(node, Node)}
    names = [sync.name for sync in settings.sync]
    for sync in settings.sync:
        node = written[sync.name]
        for complaint in _check_sync(sync, settings, node.children()):
            yield Problem(node.place, f"sync {sync.name}", complaint)
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield Problem(written[name].place, "sync", f"expected each name once, found {name} twice")


def _check_sync(sync: SyncSettings, settings: Settings, written: Collection[str]) -> Iterator[str]:
    if sync.upstream not in settings.upstreams:
        hint = did_you_mean(sync.upstream, settings.upstreams)
        yield f'expected one of the upstreams, found "{sync.upstream}"{hint}'
    if not sync.repositories:
        yield "expected at least one repository, or a pattern"
    if ("schedule" in written) == ("poll_interval" in written):
        yield "expected either schedule or poll_interval"


def _check_audit(audit: AuditSettings) -> Iterator[tuple[str, str]]:
    """Yield the settings at fault, with the complaint."""
    if audit.file_size < _SMALLEST_FILE:
        yield "file_size", f"expected at least {_SMALLEST_FILE.written()}"
    if audit.keep_size < 2 * audit.file_size:
        least = Bytes(2 * audit.file_size).written()
        yield "keep_size", f"expected at least {least}, twice what file_size says"
    if not audit.enabled and (audit.syslog or audit.webhook):
        yield "enabled", "expected true: what is forwarded is read from the files"
    if audit.webhook is not None and audit.webhook.ca_file is not None:
        for complaint in _check_files(load_authorities, audit.webhook.ca_file):
            yield "webhook", complaint


def _check_hostnames(settings: Settings, tree: Node) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, upstream in settings.upstreams.items():
        for hostname in upstream.hostnames:
            owner = owners.setdefault(hostname, name)
            if owner != name:
                place = tree.place_of("upstreams", name, "hostnames")
                complaint = f"expected each host name once, and {hostname} means {owner} already"
                yield Problem(place, f"upstreams.{name}.hostnames", complaint)


def _check_admin(admin: AdminSettings) -> Iterator[tuple[str, str]]:
    """Yield the settings at fault, with the complaint."""
    if admin.token is not None and admin.token_file is not None:
        yield "token_file", "expected one way to the token, and there is token already"
    if admin.token is not None and len(admin.token.reveal()) < _SHORTEST_TOKEN:
        yield "token", f"expected a token that cannot be guessed, of at least {_SHORTEST_TOKEN} characters"


def _check_credential(upstream: UpstreamSettings, given: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """Yield the settings at fault, with the complaint.

    What is given and was refused has its own complaint already: it is not missing.
    """
    ways = [way for way in _WAYS_TO_A_PASSWORD if getattr(upstream, way) is not None]
    for way in ways[1:]:
        yield way, f"expected one way to a password, and there is {ways[0]} already"
    if "username" not in given and ways and ways[0] in ("password", "password_file"):
        yield ways[0], "expected the setting username as well"
    if upstream.username is not None and given.isdisjoint(_WAYS_TO_A_PASSWORD):
        yield "username", "expected the setting password, or password_file, as well"
    if upstream.username is not None and ways and ways[0] in ("credential_helper", "docker_config"):
        yield "username", f"expected no user name, which {ways[0]} tells"
    for one, other in (("client_cert", "client_key"), ("client_key", "client_cert")):
        if getattr(upstream, one) is not None and other not in given:
            yield one, f"expected the setting {other} as well"


def _check_certificates(upstream: UpstreamSettings) -> Iterator[tuple[str, str]]:
    """Yield the settings at fault, with the complaint."""
    if upstream.client_cert is not None and upstream.client_key is not None:
        for complaint in _check_files(load_pair, upstream.client_cert, upstream.client_key):
            yield "client_key", complaint
    if upstream.ca_file is not None:
        for complaint in _check_files(load_authorities, upstream.ca_file):
            yield "ca_file", complaint


def _check_retention(upstream: UpstreamSettings) -> Iterator[tuple[str, str]]:
    """Yield the settings at fault, with the complaint."""
    if _outlives_expiry(upstream.retention):
        yield "retention.keep_for", "expected at most expire_after, which ends it all the same"
    for rule in upstream.retention_rules:
        if rule.keep_for is None and rule.expire_after is None:
            complaint = f"expected keep_for or expire_after for {rule.repositories} as well"
            yield "retention_rules", complaint
        if _outlives_expiry(rule):
            complaint = f"expected keep_for of {rule.repositories} to be at most its expire_after"
            yield "retention_rules", complaint


def _outlives_expiry(limits: RetentionSettings | RetentionRule) -> bool:
    keep_for, expire_after = limits.keep_for, limits.expire_after
    return keep_for is not None and expire_after is not None and keep_for > expire_after


def _check_files(load: Callable[..., None], *files: str) -> Iterator[str]:
    """Yield the complaint, if there is one, of loading the files as they are loaded to serve."""
    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *files)
    except SettingsInvalid as failure:
        yield str(failure)
