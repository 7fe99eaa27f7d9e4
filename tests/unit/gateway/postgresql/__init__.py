"""A gateway's database that is PostgreSQL: a real server, and skipped where there is none."""
