"""What is in the database of what was asked, whatever happens to the gateway or the database meanwhile."""
