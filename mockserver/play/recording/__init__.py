"""`record` and `replay`: exchanges of a real llama-server on file."""
