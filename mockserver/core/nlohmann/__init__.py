"""The JSON library of llama-server, as far as its complaints go: lexer and parser."""
