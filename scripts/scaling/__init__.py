"""The parts of `make bench-scale`: many deployments and keys, who looks at them, what a client beside them waits."""
