"""Decides what a caller may do to the cache: the only place that does."""

from __future__ import annotations

from enum import Enum, auto

from msgspec import Struct

__all__ = ["Action", "Caller", "Permission", "Role", "permit"]


class Action(Enum):
    """What the admin API offers to do."""

    SEE = auto()
    """Look at anything: what is held, what runs, the settings."""
    TEST = auto()
    """Ask an upstream whether it answers and takes its credential."""
    REFRESH = auto()
    """Ask an upstream what a tag means now."""
    WARM = auto()
    """Have images fetched before they are asked for, or no more of them."""
    PIN = auto()
    """Protect content from eviction and expiry, or no more."""
    PURGE = auto()
    """Let go of content."""
    COLLECT = auto()
    """Make what is due to go, go now."""
    VERIFY = auto()
    """Read content again, and let go of what is wrong."""
    RUN = auto()
    """Have a job run before its time."""


class Role(Enum):
    ADMINISTRATOR = auto()


class Caller(Struct, frozen=True):
    """Whoever a token stands for; without a role they are known, and may do nothing here."""

    name: str
    role: Role | None = None


class Permission(Enum):
    GRANTED = auto()
    UNKNOWN_CALLER = auto()
    """Who it is has to be said first."""
    REFUSED = auto()
    """It is known who it is, and that is not enough."""


_GRANTS = {Role.ADMINISTRATOR: frozenset(Action), None: frozenset[Action]()}


def permit(caller: Caller | None, action: Action) -> Permission:
    if caller is None:
        return Permission.UNKNOWN_CALLER
    return Permission.GRANTED if action in _GRANTS[caller.role] else Permission.REFUSED
