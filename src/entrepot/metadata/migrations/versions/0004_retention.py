"""What rules of retention look for, what each upstream takes, and pins that are set at run time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0004"
down_revision = "0003"

_LOOKED_UP = (("blobs", "stored_at"), ("manifests", "fetched_at"), ("manifest_children", "child_digest"))

_FIRST_HOLDER = """
    UPDATE blobs SET upstream = (
        SELECT repositories.upstream FROM repository_blobs
        JOIN repositories ON repositories.id = repository_blobs.repository_id
        WHERE repository_blobs.digest = blobs.digest ORDER BY repository_id LIMIT 1
    )
    """
_TOTALS = """
    INSERT INTO upstream_totals (upstream, blob_bytes)
    SELECT upstream, sum((size + 4095) / 4096 * 4096) FROM blobs WHERE upstream IS NOT NULL GROUP BY upstream
    """
_TAKE_OFF = """
    UPDATE upstream_totals SET blob_bytes = blob_bytes - (old.size + 4095) / 4096 * 4096
    WHERE upstream = old.upstream;
    """
_PUT_ON = """
    INSERT INTO upstream_totals (upstream, blob_bytes)
    SELECT new.upstream, (new.size + 4095) / 4096 * 4096 WHERE new.upstream IS NOT NULL
    ON CONFLICT (upstream) DO UPDATE SET blob_bytes = blob_bytes + excluded.blob_bytes;
    """
_TRIGGERS = (
    f"CREATE TRIGGER blobs_charged AFTER INSERT ON blobs BEGIN {_PUT_ON} END",
    f"CREATE TRIGGER blobs_discharged AFTER DELETE ON blobs BEGIN {_TAKE_OFF} END",
    f"CREATE TRIGGER blobs_recharged AFTER UPDATE OF size, upstream ON blobs BEGIN {_TAKE_OFF} {_PUT_ON} END",
)


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
    op.create_table(
        "upstream_totals",
        sa.Column("upstream", sa.Text, primary_key=True),
        sa.Column("blob_bytes", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.add_column("blobs", sa.Column("upstream", sa.Text))
    order = ["upstream", "priority", "last_used_at"]
    op.create_index("ix_blobs_upstream_priority_last_used_at", "blobs", order)
    for statement in (_FIRST_HOLDER, _TOTALS, *_TRIGGERS):
        op.execute(statement)
