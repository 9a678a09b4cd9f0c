"""What a pull-through cache remembers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_repositories()
    _create_content()
    _create_manifest_parts()
    _create_repository_links()
    _create_listings()


def _create_repositories() -> None:
    op.create_table(
        "repositories",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False, unique=True),
        sa.UniqueConstraint("upstream", "name"),
    )


def _create_content() -> None:
    op.create_table(
        "manifests",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("fetched_at", sa.Double, nullable=False),
        sa.Column("last_used_at", sa.Double, nullable=False, index=True),
        sa.Column("uses", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "blobs",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("stored_at", sa.Double, nullable=False),
        sa.Column("last_used_at", sa.Double, nullable=False, index=True),
        sa.Column("uses", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _create_manifest_parts() -> None:
    op.create_table("manifest_contents", _manifest(), sa.Column("content", sa.LargeBinary, nullable=False))
    for table, linked in (("manifest_blobs", "blob_digest"), ("manifest_children", "child_digest")):
        op.create_table(
            table, _manifest(), sa.Column(linked, sa.Text, primary_key=True), sqlite_with_rowid=False
        )


def _create_repository_links() -> None:
    op.create_table(
        "tags",
        _repository(),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("checked_at", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    held = sa.ForeignKey("manifests.digest", ondelete="CASCADE")
    op.create_table(
        "repository_manifests",
        _repository(),
        sa.Column("digest", sa.Text, held, primary_key=True, index=True),
        sa.Column("media_type", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repository_blobs",
        _repository(),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger),
        sqlite_with_rowid=False,
    )


def _create_listings() -> None:
    op.create_table(
        "tag_listings",
        _repository(),
        sa.Column("checked_at", sa.Double, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "referrer_listings",
        _repository(),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("checked_at", sa.Double, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )


def _repository() -> sa.Column[int]:
    belongs_to = sa.ForeignKey("repositories.id", ondelete="CASCADE")
    return sa.Column("repository_id", sa.Integer, belongs_to, primary_key=True)


def _manifest() -> sa.Column[str]:
    belongs_to = sa.ForeignKey("manifests.digest", ondelete="CASCADE")
    return sa.Column("manifest_digest", sa.Text, belongs_to, primary_key=True)
