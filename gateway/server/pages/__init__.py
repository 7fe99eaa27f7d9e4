"""The team's pages: a face of its operations for people, rendered by the server."""
