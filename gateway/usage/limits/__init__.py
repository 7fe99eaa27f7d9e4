"""Limits that hold: what is counted, exactly and across processes, and what a client past a limit is told."""
