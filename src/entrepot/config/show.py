"""Writes settings as YAML that loads again, secrets hidden."""

from __future__ import annotations

from typing import Any

import yaml
from msgspec import Struct
from msgspec.structs import asdict

from entrepot.config.forms import hide_userinfo
from entrepot.config.schema import Settings
from entrepot.config.secret import HIDDEN, Secret
from entrepot.config.units import Amount, Bytes, Percent, Seconds

__all__ = ["plain", "render_settings"]


def render_settings(settings: Settings) -> str:
    return yaml.safe_dump(plain(settings), sort_keys=False, allow_unicode=True, width=100)


def plain(value: Any) -> Any:
    """Return a value as YAML and JSON know it, as people write it; settings that say nothing are left out."""
    match value:
        case Struct():
            return plain(asdict(value))
        case dict():
            return {name: plain(member) for name, member in value.items() if member is not None}
        case tuple():
            return [plain(member) for member in value]
        case Seconds() | Bytes() | Percent() | Amount():
            return value.written()
        case str():
            return HIDDEN if isinstance(value, Secret) else hide_userinfo(value)
        case _:
            return value
