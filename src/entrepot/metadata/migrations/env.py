"""What Alembic executes to run the steps: on the connection that it is handed."""

from __future__ import annotations

from alembic import context

from entrepot.metadata.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
