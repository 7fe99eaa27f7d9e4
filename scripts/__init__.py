"""What needs more than a line of make."""
