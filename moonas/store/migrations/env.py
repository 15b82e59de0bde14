"""Alembic's entry: runs the revisions on the connection, and in the transaction, that `moonas.store.database` hands over."""

from alembic import context

from moonas.store.database import VERSION_TABLE
from moonas.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
