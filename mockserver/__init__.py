"""A llama-server double: the wire behaviour and the life cycle of the real one, with no model and no GPU."""
