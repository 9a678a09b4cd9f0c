"""Settings of what is brought on a schedule."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from entrepot.config import forms
from entrepot.config.values import Pattern, PositiveSeconds

__all__ = ["SyncSettings"]

Name = Annotated[str, Meta(extra={"form": forms.check_path_segment})]
Regex = Annotated[str, Meta(extra={"form": forms.check_regex})]
Versions = Annotated[str, Meta(extra={"form": forms.check_versions})]
PlatformName = Annotated[str, Meta(extra={"form": forms.check_platform})]
CronExpression = Annotated[str, Meta(extra={"form": forms.check_cron_expression})]


class SyncSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tag is taken that every given filter takes."""

    name: Annotated[Name, Meta(description="A word for the log and the API.")]
    upstream: Annotated[str, Meta(description="Name of the upstream.")]
    repositories: Annotated[
        tuple[Pattern, ...],
        Meta(description="Names, or patterns where the upstream lists its repositories (_catalog)."),
    ]
    tags: Annotated[tuple[Pattern, ...], Meta(description="Patterns of tags; none means all.")] = ()
    tag_regex: Annotated[
        Regex | None, Meta(description="Regular expression that matches the whole of a tag.")
    ] = None
    semver: Annotated[
        Versions | None,
        Meta(description="Range of versions: `>=1.2 <2`, `^1.4 || 2`; `*` takes all tags that are versions."),
    ] = None
    exclude_tags: Annotated[tuple[Pattern, ...], Meta(description="Patterns of tags that are left out.")] = ()
    platforms: Annotated[
        tuple[PlatformName, ...], Meta(description="Platforms, as linux/arm64/v8; none means all.")
    ] = ()
    referrers: Annotated[
        bool, Meta(description="Bring signatures, SBOMs and whatever else refers to the images as well.")
    ] = False
    only_signed: Annotated[
        bool, Meta(description="Leave images alone that have no signature; whose it is, is not looked at.")
    ] = False
    schedule: Annotated[
        CronExpression | None, Meta(description="When, as cron has it, in UTC: `0 3 * * *` is at three.")
    ] = None
    poll_interval: Annotated[
        PositiveSeconds | None, Meta(description="How often, instead of schedule; the first time at once.")
    ] = None
