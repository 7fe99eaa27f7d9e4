"""How results look on the wire, one module for each API."""
