"""Registries: the file and the database."""
