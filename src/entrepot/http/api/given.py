"""What the framework gives to handlers that ask for it by type."""

from __future__ import annotations

from typing import TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from entrepot.http.api.parts import Parts

__all__ = ["TheParts"]

TheParts: TypeAlias = NamedDependency[SkipValidation[Parts]]
