"""Pins are kept in a file of their own, which outlives the database; no version ever wrote any here."""

from __future__ import annotations

from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.drop_table("pins")
