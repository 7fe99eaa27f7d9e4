"""Faults on the wire."""
