"""Alembic's entry: migrates over the connection it is handed, inside that connection's transaction."""

from alembic import context

from quantlytic.store.control.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
