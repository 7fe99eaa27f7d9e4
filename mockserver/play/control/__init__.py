"""The control port: what the mock plays and what it received, over HTTP, for programs only."""
