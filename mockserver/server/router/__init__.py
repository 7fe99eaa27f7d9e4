"""Router mode: one llama-server that loads and unloads several models."""
