"""The mock as an object, its routes, and the order of its checks."""
