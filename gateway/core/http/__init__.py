"""What HTTP says, as rules: headers that pass, origins, proxies, base URLs, bodies that are rewritten."""
