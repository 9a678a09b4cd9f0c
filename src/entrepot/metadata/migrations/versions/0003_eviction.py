"""What eviction chooses by, and what it has to find when content goes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"

_LOOKED_UP = (("tags", "digest"), ("repository_blobs", "digest"), ("manifest_blobs", "blob_digest"))

# What was used more goes later, until its uses are counted anew.
_PRIORITIES = ("UPDATE blobs SET priority = uses", "UPDATE manifests SET priority = uses")

# A file takes blocks: of 4 KiB, on all usual file systems.
_TOTALS = (
    """
    INSERT INTO totals (id, blobs, blob_bytes, floor)
    SELECT 1, count(*), coalesce(sum((size + 4095) / 4096 * 4096), 0), 0 FROM blobs
    """,
    """
    CREATE TRIGGER blobs_inserted AFTER INSERT ON blobs BEGIN
        UPDATE totals SET blobs = blobs + 1, blob_bytes = blob_bytes + (new.size + 4095) / 4096 * 4096;
    END
    """,
    """
    CREATE TRIGGER blobs_deleted AFTER DELETE ON blobs BEGIN
        UPDATE totals SET blobs = blobs - 1, blob_bytes = blob_bytes - (old.size + 4095) / 4096 * 4096;
    END
    """,
    """
    CREATE TRIGGER blobs_resized AFTER UPDATE OF size ON blobs BEGIN
        UPDATE totals SET blob_bytes = blob_bytes
            - (old.size + 4095) / 4096 * 4096 + (new.size + 4095) / 4096 * 4096;
    END
    """,
)


def upgrade() -> None:
    for table in ("blobs", "manifests"):
        op.add_column(table, sa.Column("priority", sa.Double, nullable=False, server_default=sa.text("0")))
        op.create_index(f"ix_{table}_priority_last_used_at", table, ["priority", "last_used_at"])
    for table, column in _LOOKED_UP:
        op.create_index(f"ix_{table}_{column}", table, [column])
    op.create_table(
        "totals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("blobs", sa.BigInteger, nullable=False),
        sa.Column("blob_bytes", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.Double, nullable=False),
    )
    for statement in (*_PRIORITIES, *_TOTALS):
        op.execute(statement)
