"""The parts of `make real`: a llama-server compiled, a model downloaded, and what is shown meanwhile."""
