"""The tools in `scripts/`."""
