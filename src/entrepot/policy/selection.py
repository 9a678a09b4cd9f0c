"""Decides what an administrator's choice of content takes in."""

from __future__ import annotations

from fnmatch import fnmatchcase

from msgspec import Struct

from entrepot.oci.reference import Repository

__all__ = ["Selection"]


class Selection(Struct, frozen=True):
    """Shell patterns, as in the settings: of repositories, of one upstream or all, and of tags, if not all.

    A text is also its own pattern, whatever characters it holds.
    """

    repositories: str
    upstream: str | None = None
    tags: str | None = None

    def takes(self, repository: Repository) -> bool:
        if self.upstream not in (None, repository.upstream):
            return False
        return _matches(repository.name, self.repositories)

    def takes_tag(self, tag: str) -> bool:
        return self.tags is None or _matches(tag, self.tags)


def _matches(text: str, pattern: str) -> bool:
    return text == pattern or fnmatchcase(text, pattern)
