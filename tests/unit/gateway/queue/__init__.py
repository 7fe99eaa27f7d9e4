"""The line in which requests wait for a place."""
