"""Whether a llama-server is well: the probes of its health, and the readiness of its deployment that follows."""
