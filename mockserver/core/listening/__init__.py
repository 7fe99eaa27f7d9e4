"""Ports that can be closed and opened again: a socket that is there before any server is, and the server on it."""
