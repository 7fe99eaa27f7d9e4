"""A gateway that gives every llama-server deployment a private, key-protected base URL."""

__version__ = "0.1.0"
