"""What an index calls the manifests that it names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("manifest_children", sa.Column("media_type", sa.Text))
