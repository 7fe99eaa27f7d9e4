"""Instructions counted under callgrind: parts of `scripts/instructions.py`."""
