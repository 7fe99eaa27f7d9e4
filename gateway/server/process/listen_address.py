"""The address to listen on: whether it is free, why it cannot be used, and how it is reserved for workers."""

import socket
import sys


class ListenError(Exception):
    """The address cannot be listened on. The message is one sentence for a terminal."""


def check_free(host: str, port: int) -> None:
    """Raise ListenError if the address cannot be listened on now: before anything costly is begun for it."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise ListenError(why_not(error, host, port)) from error


def reserve(host: str, port: int) -> list[socket.socket]:
    """Take the port and keep it, without listening, for workers who then listen with SO_REUSEPORT each.

    It is bound before SO_REUSEPORT is set, so a taken port shows. Raises ListenError if it is taken.
    """
    if sys.platform != "linux":
        raise ListenError("server.workers above 1 needs Linux, whose kernel shares a port out among processes.")
    held: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            held.append(one := socket.socket(family, kind, protocol))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address[0], port, *address[2:]))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            port = one.getsockname()[1]
    except OSError as error:
        raise ListenError(why_not(error, host, port)) from error
    return held


def why_not(error: OSError, host: str, port: int) -> str:
    """Why an address cannot be listened on, in one sentence."""
    if isinstance(error, PermissionError):
        return f"Port {port} needs more rights than this user has; choose one above 1023."
    if "already in use" in str(error):
        return f"Port {port} on {host} is taken. Stop what is using it, or choose another with --port."
    return f"Cannot listen on {host}, port {port}: {error.strerror or error}."
