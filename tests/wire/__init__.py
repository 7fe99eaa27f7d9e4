"""A gateway as a process, between a client and an upstream that are bare sockets: every fault of either."""
