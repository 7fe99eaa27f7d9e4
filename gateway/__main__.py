"""`python -m gateway` is `gguf-gateway`."""

from gateway.cli import main

main(prog_name="gguf-gateway")
