"""One part of the code at a time, in folders as those of the code."""
