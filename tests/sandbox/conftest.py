"""Ports for programs that must be told theirs."""

import socket

import pytest


@pytest.fixture
def free_ports() -> tuple[int, int]:
    """Two that were free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]
