"""Where the API is, in one place for those who answer there and those who call it."""

from __future__ import annotations

__all__ = ["PREFIX"]

PREFIX = "/api/v1"
