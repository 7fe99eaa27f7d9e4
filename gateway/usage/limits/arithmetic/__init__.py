"""What is kept of a limit, and how each measure is counted in it. Pure: no I/O."""
