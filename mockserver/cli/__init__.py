"""`mock-llama-server`: the command line, the process and the terminal view."""
