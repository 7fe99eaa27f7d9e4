"""`gguf-gateway sandbox`: a gateway and mock llama-servers as processes on this machine."""
