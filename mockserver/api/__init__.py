"""llama-server's endpoints."""
