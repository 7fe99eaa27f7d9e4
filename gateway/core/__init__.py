"""The words of the domain, without any I/O. Every other folder may import from here."""
