"""What is kept of an answer while it passes, and the tokens that it states, or that are counted of it."""
