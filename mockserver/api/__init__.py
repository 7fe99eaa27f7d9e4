"""llama-server's endpoints: from a request to tasks, and from their results to a response."""
