"""The life of a serving process: its address, its signals, its workers, its end."""
