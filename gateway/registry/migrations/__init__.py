"""The history of the database's schema, run by Alembic. A new file: `alembic revision` is not needed, copy the last."""
