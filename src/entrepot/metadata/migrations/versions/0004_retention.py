"""What rules of retention look for, and the pins that are set while the cache runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0004"
down_revision = "0003"

_LOOKED_UP = (("blobs", "stored_at"), ("manifests", "fetched_at"), ("manifest_children", "child_digest"))


def upgrade() -> None:
    for table, column in _LOOKED_UP:
        op.create_index(f"ix_{table}_{column}", table, [column])
    op.create_table(
        "pins",
        sa.Column("upstream", sa.Text, primary_key=True),
        sa.Column("pattern", sa.Text, primary_key=True),
        sa.Column("created_at", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
