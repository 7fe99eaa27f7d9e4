"""What Alembic runs: the migrations, in the transaction and on the connection that `schema.upgrade` handed over."""

from alembic import context

from gateway.registry.database.rows import VERSION_TABLE
from gateway.registry.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
