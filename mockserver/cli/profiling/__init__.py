"""`mock-llama-server profile`: how fast a llama-server is, measured as a profile that a mock plays."""
