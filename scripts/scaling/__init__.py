"""Many deployments and keys: the parts of `make bench-scale`, and `make bench-changes`."""
