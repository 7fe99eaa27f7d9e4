"""The HTTP/1.1 client that talks to llama-servers: connections and their pool, parser, TLS."""
