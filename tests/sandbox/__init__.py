"""`gguf-gateway sandbox`, driven from outside."""
