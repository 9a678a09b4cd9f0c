"""The tables, as the newest migration leaves them; a test compares the two.

Content is shared by repositories, as on disk; what a repository is known to hold are
links.  Times are epoch seconds, sizes bytes.  What has the lowest ``priority`` is evicted
first, and of those that have the same, what was used least recently.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

__all__ = [
    "blobs",
    "manifest_blobs",
    "manifest_children",
    "manifest_contents",
    "manifests",
    "metadata",
    "referrer_listings",
    "repositories",
    "repository_blobs",
    "repository_manifests",
    "tag_listings",
    "tags",
    "totals",
    "upstream_totals",
]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _repository() -> Column[int]:
    return Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True)


def _manifest() -> Column[str]:
    return Column("manifest_digest", ForeignKey("manifests.digest", ondelete="CASCADE"), primary_key=True)


def _priority() -> Column[float]:
    return Column("priority", Double, nullable=False, server_default=text("0"))


# ``path`` is ``upstream/name``, the order of the catalogue: sorting the pair would put
# ``a/x`` before ``a.b/y``, and a page could then not begin after a given path.
repositories = Table(
    "repositories",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("upstream", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False, unique=True),
    UniqueConstraint("upstream", "name"),
)

manifests = Table(
    "manifests",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("subject", Text),
    Column("fetched_at", Double, nullable=False, index=True),
    Column("last_used_at", Double, nullable=False, index=True),
    Column("uses", BigInteger, nullable=False, default=0),
    _priority(),
    Index(None, "priority", "last_used_at"),
    sqlite_with_rowid=False,
)

# Apart from the rest, which every use changes: a page holds thirty such rows, and one or two contents.
manifest_contents = Table(
    "manifest_contents",
    metadata,
    _manifest(),
    Column("content", LargeBinary, nullable=False),
)

# ``upstream`` is the one that a blob counts for, where it is known to be held.
blobs = Table(
    "blobs",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("stored_at", Double, nullable=False, index=True),
    Column("last_used_at", Double, nullable=False, index=True),
    Column("uses", BigInteger, nullable=False, default=0),
    _priority(),
    Column("upstream", Text),
    Index(None, "priority", "last_used_at"),
    Index(None, "upstream", "priority", "last_used_at"),
    sqlite_with_rowid=False,
)

# Triggers keep what the blobs take that count for each upstream, as they keep ``totals``.
upstream_totals = Table(
    "upstream_totals",
    metadata,
    Column("upstream", Text, primary_key=True),
    Column("blob_bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# One row.  Triggers keep the totals of ``blobs``, each counted with the blocks of 4 KiB that its file takes.
# ``floor`` is the highest priority that was evicted.
totals = Table(
    "totals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("blobs", BigInteger, nullable=False),
    Column("blob_bytes", BigInteger, nullable=False),
    Column("floor", Double, nullable=False),
)

# No foreign key: a tag may be checked before the manifest it means is fetched.
tags = Table(
    "tags",
    metadata,
    _repository(),
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False, index=True),
    Column("checked_at", Double, nullable=False),
    sqlite_with_rowid=False,
)

# The media type is what this repository's registry said: the same bytes may be called
# something else elsewhere, and one registry must not decide how another's are read.
repository_manifests = Table(
    "repository_manifests",
    metadata,
    _repository(),
    Column("digest", ForeignKey("manifests.digest", ondelete="CASCADE"), primary_key=True, index=True),
    Column("media_type", Text, nullable=False),
    sqlite_with_rowid=False,
)

# No foreign key: a repository holds its blobs whether or not they are stored here.
repository_blobs = Table(
    "repository_blobs",
    metadata,
    _repository(),
    Column("digest", Text, primary_key=True, index=True),
    Column("size", BigInteger),
    sqlite_with_rowid=False,
)

manifest_blobs = Table(
    "manifest_blobs",
    metadata,
    _manifest(),
    Column("blob_digest", Text, primary_key=True, index=True),
    sqlite_with_rowid=False,
)

# The media type is what the index says; ``None`` where it says nothing, or was kept before it was asked.
manifest_children = Table(
    "manifest_children",
    metadata,
    _manifest(),
    Column("child_digest", Text, primary_key=True, index=True),
    Column("media_type", Text),
    sqlite_with_rowid=False,
)

tag_listings = Table(
    "tag_listings",
    metadata,
    _repository(),
    Column("checked_at", Double, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

referrer_listings = Table(
    "referrer_listings",
    metadata,
    _repository(),
    Column("subject", Text, primary_key=True),
    Column("checked_at", Double, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
