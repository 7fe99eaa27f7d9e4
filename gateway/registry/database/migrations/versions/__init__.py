"""One file a version, numbered; the number is what the database remembers."""
