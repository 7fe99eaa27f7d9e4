"""The line in which requests wait for a place at a llama-server: who is next, and how long it will take."""
