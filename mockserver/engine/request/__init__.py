"""From the body of a request to a prompt and its parameters."""
