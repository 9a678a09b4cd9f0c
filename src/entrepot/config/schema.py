"""Every setting: its type, its default, its meaning and its unit.

The docs page, the JSON schema, the environment variables and the command line's help
are made from this file.
"""

# Annotations are no text here, as they are elsewhere: each of a hundred would be compiled at every start.

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from entrepot.config import forms
from entrepot.config.retention import RetentionRule, RetentionSettings
from entrepot.config.secret import Secret
from entrepot.config.sync import SyncSettings
from entrepot.config.units import Amount, Bytes, Percent, Seconds
from entrepot.config.values import Pattern, PositiveAmount, PositiveSeconds, Text

__all__ = [
    "DEFAULT_UPSTREAMS",
    "AdminSettings",
    "AuditSettings",
    "CacheSettings",
    "FreshnessSettings",
    "LogSettings",
    "RepositoryRules",
    "RetentionRule",
    "RetentionSettings",
    "ScrubSettings",
    "Settings",
    "SyncSettings",
    "TagRule",
    "TelemetrySettings",
    "TimeoutSettings",
    "TlsSettings",
    "UpstreamSettings",
    "WarmSettings",
    "WebhookSettings",
]

Host = Annotated[str, Meta(extra={"form": forms.check_host})]
Endpoint = Annotated[str, Meta(extra={"form": forms.check_endpoint})]
UpstreamName = Annotated[str, Meta(extra={"form": forms.check_upstream_name})]
Proxy = Annotated[str, Meta(extra={"form": forms.check_proxy})]
Program = Annotated[str, Meta(extra={"form": forms.check_program})]
File = Annotated[str, Meta(extra={"form": forms.resolve_file})]
Folder = Annotated[str, Meta(extra={"form": forms.resolve_folder})]
Listen = Annotated[str, Meta(extra={"form": forms.check_listen})]
Webhook = Annotated[str, Meta(extra={"form": forms.check_webhook})]
Collector = Annotated[str, Meta(extra={"form": forms.check_collector})]
Network = Annotated[str, Meta(extra={"form": forms.check_network})]
Token = Annotated[Secret, Meta(extra={"form": forms.check_token})]
Syslog = Annotated[str, Meta(extra={"form": forms.check_syslog})]
LogLevel = Literal["debug", "info", "warning", "error"]
PositiveBytes = Annotated[Bytes, Meta(extra={"form": forms.check_positive})]
PositivePercent = Annotated[Percent, Meta(extra={"form": forms.check_positive})]


class TimeoutSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    connect: Annotated[PositiveSeconds, Meta(description="Longest wait for a connection, TLS included.")] = (
        Seconds(5)
    )
    response: Annotated[PositiveSeconds, Meta(description="Longest wait for the head of an answer.")] = (
        Seconds(15)
    )
    read: Annotated[PositiveSeconds, Meta(description="Longest wait for the next KiB of a body.")] = Seconds(
        30
    )


class TagRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first rule whose pattern matches a tag replaces the freshness values that it names."""

    tags: Annotated[Pattern, Meta(description="Pattern of tags, as in a shell: nightly-*.")]
    fresh_for: Annotated[Seconds | None, Meta(description="Replaces freshness.fresh_for.")] = None
    stale_while_revalidate: Annotated[
        Seconds | None, Meta(description="Replaces freshness.stale_while_revalidate.")
    ] = None
    revalidate_within: Annotated[
        Seconds | None, Meta(description="Replaces freshness.revalidate_within.")
    ] = None
    stale_if_error: Annotated[Seconds | None, Meta(description="Replaces freshness.stale_if_error.")] = None
    not_found_for: Annotated[Seconds | None, Meta(description="Replaces freshness.not_found_for.")] = None


class FreshnessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fresh_for: Annotated[
        Seconds, Meta(description="How long a checked tag is served without asking the upstream.")
    ] = Seconds(30)
    stale_while_revalidate: Annotated[
        Seconds, Meta(description="How much longer it is served at once, while the upstream is asked behind.")
    ] = Seconds(0)
    revalidate_within: Annotated[
        Seconds,
        Meta(description="How long an answer waits for the upstream before the cached one is served."),
    ] = Seconds(2)
    stale_if_error: Annotated[
        Seconds, Meta(description="How long after its last check a tag is served while the upstream fails.")
    ] = Seconds(30 * 86400)
    not_found_for: Annotated[Seconds, Meta(description="How long a 404 of the upstream is believed.")] = (
        Seconds(10)
    )
    immutable_tags: Annotated[
        tuple[Pattern, ...],
        Meta(description="Patterns of tags that never change: checked once, then believed."),
    ] = ()


class RepositoryRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    allow: Annotated[
        tuple[Pattern, ...], Meta(description="Patterns of repositories that may be pulled; none means all.")
    ] = ()
    deny: Annotated[
        tuple[Pattern, ...], Meta(description="Patterns of repositories that may not, whatever allow says.")
    ] = ()


class UpstreamSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    endpoints: Annotated[
        tuple[Endpoint, ...],
        Meta(description="URLs that serve this upstream, tried in order; none means https://<name>."),
    ] = ()
    hostnames: Annotated[
        tuple[Host, ...], Meta(description="Host headers of this cache that mean this upstream.")
    ] = ()
    username: Annotated[Text | None, Meta(description="User for the registry or its token service.")] = None
    password: Annotated[Secret | None, Meta(description="Password or token of that user.")] = None
    password_file: Annotated[File | None, Meta(description="File that holds the password.")] = None
    credential_helper: Annotated[
        Program | None,
        Meta(description="Program that tells the credential: docker-credential-<...> or a path."),
    ] = None
    docker_config: Annotated[
        File | None, Meta(description="A Docker config.json whose auths or helpers tell the credential.")
    ] = None
    token_hosts: Annotated[
        tuple[Host, ...],
        Meta(description="Further hosts of token services that may be sent this upstream's credential."),
    ] = ()
    ca_file: Annotated[File | None, Meta(description="PEM file of authorities to trust as well.")] = None
    client_cert: Annotated[File | None, Meta(description="PEM file of the certificate shown.")] = None
    client_key: Annotated[File | None, Meta(description="PEM file of that certificate's key.")] = None
    insecure_skip_verify: Annotated[
        bool, Meta(description="Accept any certificate: for tests, never for the internet.")
    ] = False
    proxy: Annotated[Proxy | None, Meta(description="HTTP proxy that reaches the upstream.")] = None
    max_connections: Annotated[
        int, Meta(ge=1, description="Most connections to each endpoint at once; further requests queue.")
    ] = 32
    repositories: Annotated[RepositoryRules, Meta(description="Which repositories may be pulled.")] = field(
        default_factory=RepositoryRules
    )
    timeouts: Annotated[TimeoutSettings, Meta(description="How long to wait for the upstream.")] = field(
        default_factory=TimeoutSettings
    )
    freshness: Annotated[FreshnessSettings, Meta(description="How long tags are believed.")] = field(
        default_factory=FreshnessSettings
    )
    tag_rules: Annotated[
        tuple[TagRule, ...], Meta(description="Freshness of some tags, first match wins.")
    ] = ()
    retention: Annotated[RetentionSettings, Meta(description="What is kept, and for how long.")] = field(
        default_factory=RetentionSettings
    )
    retention_rules: Annotated[
        tuple[RetentionRule, ...], Meta(description="Retention of some repositories, first match wins.")
    ] = ()


class TlsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    certificate: Annotated[
        File, Meta(description="PEM file of the certificate to show, and of those that lead to its root.")
    ]
    key: Annotated[File, Meta(description="PEM file of its key, without a passphrase.")]


class ScrubSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    every: Annotated[
        Seconds,
        Meta(description="How often all content is read again in the background; 0 for never."),
    ] = Seconds(28 * 86400)
    rate: Annotated[PositiveBytes, Meta(description="Most bytes a second that are read for it.")] = Bytes(
        8 << 20
    )


class CacheSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    max_size: Annotated[
        PositiveAmount | None,
        Meta(
            description="Most that the data folder may hold; none means all of the file system but min_free."
        ),
    ] = None
    min_free: Annotated[
        Amount | None,
        Meta(
            description="What stays free on the file system, whoever fills it;"
            " none means 64MiB, or a twentieth of a small one."
        ),
    ] = None
    high_watermark: Annotated[
        PositivePercent, Meta(description="Share of what may be held past which eviction begins.")
    ] = Percent(95)
    low_watermark: Annotated[PositivePercent, Meta(description="Share down to which it then goes on.")] = (
        Percent(90)
    )
    memory: Annotated[Bytes, Meta(description="Bytes of manifests kept in memory for the hot path.")] = Bytes(
        32 << 20
    )
    scrub: Annotated[ScrubSettings, Meta(description="Finding what the disk has changed.")] = field(
        default_factory=ScrubSettings
    )


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Annotated[LogLevel, Meta(description="Least severity that is written.")] = "info"
    format: Annotated[
        Literal["json", "console"], Meta(description="One JSON object a line, or text for people.")
    ] = "json"
    access: Annotated[bool, Meta(description="Write one line per request.")] = True


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[Webhook, Meta(description="URL that batches of CloudEvents are posted to.")]
    token: Annotated[Token | None, Meta(description="Bearer token that is shown there.")] = None
    ca_file: Annotated[File | None, Meta(description="PEM file of authorities to trust as well.")] = None


class TelemetrySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    otlp_endpoint: Annotated[
        Collector | None,
        Meta(
            description="Base URL of a collector of traces, OTLP over HTTP. Without it, what the environment"
            " variable OTEL_EXPORTER_OTLP_ENDPOINT says; without either, nothing is traced."
        ),
    ] = None
    trace_share: Annotated[
        Percent, Meta(description="Share of the requests that are traced, where traceparent does not decide.")
    ] = Percent(100)
    trace_hits: Annotated[
        int,
        Meta(
            ge=0,
            description="Most requests a second that are traced of those that waited for nothing: they were"
            " answered out of what is here, within a second. All others of the share are traced.",
        ),
    ] = 10


class AuditSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: Annotated[bool, Meta(description="Keep a line of every request and every action.")] = True
    folder: Annotated[
        Folder | None, Meta(description="Folder of the files; none means audit in the data folder.")
    ] = None
    file_size: Annotated[PositiveBytes, Meta(description="A file of this size makes way for the next.")] = (
        Bytes(8 << 20)
    )
    file_age: Annotated[PositiveSeconds, Meta(description="So does one that was begun so long ago.")] = (
        Seconds(86400)
    )
    keep_size: Annotated[
        PositiveBytes,
        Meta(description="Most bytes of all files; the oldest go first. At least two files' worth."),
    ] = Bytes(64 << 20)
    keep_for: Annotated[PositiveSeconds, Meta(description="How long a file is kept after its last line.")] = (
        Seconds(90 * 86400)
    )
    keep_files: Annotated[int, Meta(ge=1, description="Most files that are kept.")] = 100
    syslog: Annotated[
        Syslog | None,
        Meta(description="Collector to forward to: udp://HOST:PORT, tcp://HOST:PORT or unix:///PATH."),
    ] = None
    webhook: Annotated[WebhookSettings | None, Meta(description="Where to forward to by HTTP.")] = None


class AdminSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: Annotated[bool, Meta(description="Serve the admin API under /api/v1.")] = True
    token: Annotated[
        Secret | None,
        Meta(
            description="The administrator's token; without it and a token_file, one is made at the first"
            " start, in the file admin-token of the data folder."
        ),
    ] = None
    token_file: Annotated[File | None, Meta(description="File that holds the administrator's token.")] = None


class WarmSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    concurrency: Annotated[
        int, Meta(ge=1, description="Most manifests and blobs that all warms together fetch at once.")
    ] = 4


DEFAULT_UPSTREAMS: dict[str, UpstreamSettings] = {
    "docker.io": UpstreamSettings(endpoints=("https://registry-1.docker.io",)),
    **{
        name: UpstreamSettings(endpoints=(f"https://{name}",))
        for name in (
            "ghcr.io",
            "quay.io",
            "registry.k8s.io",
            "gcr.io",
            "mcr.microsoft.com",
            "public.ecr.aws",
            "registry.gitlab.com",
            "nvcr.io",
            "lscr.io",
        )
    },
}


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    listen: Annotated[
        Listen, Meta(description="HOST:PORT to serve on; without a host, on every address.")
    ] = ":5000"
    data: Annotated[
        Folder | None,
        Meta(description="Folder of the cache; none means /var/lib/entrepot if writable, else ./data."),
    ] = None
    default_upstream: Annotated[
        str,
        Meta(
            description="The upstream of requests that name none; where docker.io is not among the upstreams,"
            " the first of them."
        ),
    ] = "docker.io"
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Meta(
            description="Addresses or networks of the proxies before this cache, as 10.0.0.0/8: their"
            " X-Forwarded-For tells who asks."
        ),
    ] = ()
    tls: Annotated[TlsSettings | None, Meta(description="Serve HTTPS; without it, HTTP.")] = None
    drain_timeout: Annotated[
        Seconds, Meta(description="How long running answers may take to finish at SIGTERM.")
    ] = Seconds(30)
    cache: Annotated[CacheSettings, Meta(description="What is kept.")] = field(default_factory=CacheSettings)
    admin: Annotated[AdminSettings, Meta(description="Who may see and steer the cache.")] = field(
        default_factory=AdminSettings
    )
    log: Annotated[LogSettings, Meta(description="What is written to standard error.")] = field(
        default_factory=LogSettings
    )
    audit: Annotated[AuditSettings, Meta(description="What is kept of who asked what.")] = field(
        default_factory=AuditSettings
    )
    telemetry: Annotated[TelemetrySettings, Meta(description="Who is told what requests wait for.")] = field(
        default_factory=TelemetrySettings
    )
    warm: Annotated[WarmSettings, Meta(description="Bringing images before they are asked for.")] = field(
        default_factory=WarmSettings
    )
    sync: Annotated[
        tuple[SyncSettings, ...], Meta(description="What is brought on a schedule; see warming.md.")
    ] = ()
    upstreams: Annotated[
        dict[UpstreamName, UpstreamSettings],
        Meta(
            description="The registries to cache, each by its host, as images name it; given, they replace"
            " the built-in ten."
        ),
    ] = field(default_factory=lambda: dict(DEFAULT_UPSTREAMS))
