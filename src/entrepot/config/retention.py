"""The settings of what is kept, and for how long: a part of the schema."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from entrepot.config import forms
from entrepot.config.values import Pattern, PositiveAmount, PositiveSeconds

__all__ = ["RetentionRule", "RetentionSettings"]

Pin = Annotated[str, Meta(extra={"form": forms.check_pin})]


class RetentionRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first rule whose pattern matches a repository replaces the retention values that it names."""

    repositories: Annotated[Pattern, Meta(description="Pattern of repositories, as in a shell: library/*.")]
    keep_for: Annotated[PositiveSeconds | None, Meta(description="Replaces retention.keep_for.")] = None
    expire_after: Annotated[PositiveSeconds | None, Meta(description="Replaces retention.expire_after.")] = (
        None
    )


class RetentionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keep_for: Annotated[
        PositiveSeconds | None,
        Meta(description="How long content is kept after its last use; none means while there is room."),
    ] = None
    expire_after: Annotated[
        PositiveSeconds | None,
        Meta(
            description="How long content is kept after it was fetched, used or not; none means without end."
        ),
    ] = None
    max_size: Annotated[
        PositiveAmount | None,
        Meta(
            description="Most that its blobs may take; a percentage is of cache.max_size, else of the disk."
        ),
    ] = None
    pin: Annotated[
        tuple[Pin, ...],
        Meta(description="Patterns of repositories, or repository:tag, that neither expire nor are evicted."),
    ] = ()
    follow_deletions: Annotated[
        bool,
        Meta(description="Forget a tag that the upstream has no more; else it stays here, served as stale."),
    ] = False
