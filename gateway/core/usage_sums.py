"""What is added up of exchanges, by the names that it has in the database. Pure: no I/O."""

NUMBERS = ("requests", "answered", "tokens_in", "tokens_cached", "tokens_out", "tokens_counted")
# In line, with a place, from the beginning to the first byte (of those that were answered), and to the end.
SECONDS = ("queue_seconds", "slot_seconds", "first_byte_seconds", "duration_seconds")
SUMS = (*NUMBERS, *SECONDS)
