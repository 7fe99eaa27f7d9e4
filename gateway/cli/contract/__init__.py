"""`gguf-gateway contract`: the contract printed, or played against a gateway."""
