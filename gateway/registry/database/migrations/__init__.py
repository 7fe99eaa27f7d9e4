"""The history of the database's schema, run by Alembic. To add one, copy the last; no `alembic revision` is needed."""
