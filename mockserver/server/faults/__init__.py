"""Fault injection: the middleware that chooses, and the writers that spoil heads and streams."""
