"""The tools of the tests: processes, bare sockets, registries, pages; and what all of them share."""
