"""What a server does first: slots and who waits for one, how long a step takes, who waits for results."""
