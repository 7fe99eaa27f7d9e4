"""Sockets that are closed by a reset, as when a process dies with something unread."""

import socket
import struct

_NO_LINGER = struct.pack("ii", 1, 0)  # socket(7): lingering for no time at all makes the close a reset


def close_with_reset(one: socket.socket) -> None:
    """Leave with a RST."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    one.close()
