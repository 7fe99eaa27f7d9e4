"""Connections of the soak that are closed by a reset, on either side of the gateway."""

import asyncio
import socket
import struct

_NO_LINGER = struct.pack("ii", 1, 0)  # socket(7): lingering for no time at all makes the close a reset


def reset(transport: asyncio.WriteTransport) -> None:
    """Close a connection with a RST, and drop what it still had to send. One that is closing already is dropped."""
    one = transport.get_extra_info("socket")
    if one is not None and not transport.is_closing():
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
