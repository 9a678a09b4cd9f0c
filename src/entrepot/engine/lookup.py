"""Look-ups in metadata that may be damaged: what cannot be read is not known, and will be learnt again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from entrepot.errors import MetadataFailed
from entrepot.telemetry.log import log

__all__ = ["found"]

V = TypeVar("V")


def found(look_up: Callable[[], V]) -> V | None:
    try:
        return look_up()
    except MetadataFailed as failure:
        log.warning("metadata_unreadable", reason=str(failure))
        return None
