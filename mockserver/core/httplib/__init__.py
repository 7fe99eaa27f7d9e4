"""The HTTP server library of llama-server: which requests it takes, and what it answers by itself."""
