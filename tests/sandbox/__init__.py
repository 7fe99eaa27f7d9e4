"""The sandbox: its command, its object and the pytest plugin, and the clients for Node and GitHub."""
