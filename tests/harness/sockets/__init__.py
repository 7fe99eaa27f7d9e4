"""Clients and upstreams on bare sockets: every byte that is sent and received."""
