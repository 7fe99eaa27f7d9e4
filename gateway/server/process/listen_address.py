"""The addresses to listen on: opened on one port, reserved for workers, and why one cannot be used."""

import errno
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, NamedTuple

from gateway.config.server_settings import Server

PORT, ADMIN_PORT = "--port", "server.admin.port"  # what another port is chosen with
_TRIES = 20  # to find a port that is free on all addresses, where any port will do
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}  # as ::1, for the name localhost, where IPv6 is off


class ListenError(Exception):
    """The address cannot be listened on. The message is one sentence for a terminal."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a gateway is reached, as URLs: by clients, and by its operator if that is a port of its own."""

    urls: tuple[str, ...]
    admin_urls: tuple[str, ...] = ()


class _UnusableError(Exception):
    def __init__(self, host: str, error: OSError) -> None:
        super().__init__(host, error)
        self.host = host
        self.error = error


class _Address(NamedTuple):
    host: str  # as configured
    family: socket.AddressFamily
    ip: str
    zone: tuple[int, ...]  # of IPv6: flow and scope


def check_free(host: str, port: int) -> None:
    """Raise ListenError if the address cannot be listened on now: before anything costly is begun for it."""
    for one in open_sockets((host,), port):
        one.close()


def reserve(server: Server) -> tuple[Server, Reached, list[socket.socket]]:
    """Take the ports and keep them, without listening, for workers who then listen with SO_REUSEPORT each.

    Returns the settings with these ports, where that is, and what holds them. They are bound before SO_REUSEPORT is
    set, so a taken port shows. Raises ListenError if one is taken.
    """
    if sys.platform != "linux":
        raise ListenError("server.workers above 1 needs Linux, whose kernel shares a port out among processes.")
    held = open_sockets(server.host, server.port)
    server = replace(server, port=port_of(held[0]))
    operators: list[socket.socket] = []
    if server.admin is not None:
        operators = open_sockets(server.admin.host, server.admin.port, ADMIN_PORT)
        server = replace(server, admin=replace(server.admin, port=port_of(operators[0])))
    for one in (*held, *operators):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    urls, admin_urls = (tuple(url_of(one.getsockname()) for one in some) for some in (held, operators))
    return server, Reached(urls, admin_urls), held + operators


def open_sockets(hosts: Sequence[str], port: int, setting: str = PORT, *, shared: bool = False) -> list[socket.socket]:
    """A socket for each address of `hosts`, bound to the same port on all; a free one if `port` is 0.

    `::` takes both families, as it does for other servers, unless IPv4 addresses are listed beside it. An address
    beside one that is every address of its family needs no socket.
    `shared`: on a port that `reserve` holds. `setting` is what the port comes from, for errors.
    Raises ListenError, and leaves nothing open then.
    """
    addresses = _without_covered([address for host in hosts for address in _addresses_of(host, port, setting)])
    for left in reversed(range(_TRIES if port == 0 else 1)):
        try:
            return _open_all(addresses, port, shared=shared)
        except _UnusableError as unusable:
            if not left or unusable.error.errno != errno.EADDRINUSE:
                raise ListenError(why_not(unusable.error, unusable.host, port, setting)) from unusable.error
    raise AssertionError("the last try returns or raises")


def listen(sockets: Sequence[socket.socket], hosts: Sequence[str], port: int, setting: str, backlog: int) -> None:
    """Listen at once, and not when a server is made of them: uvloop's would not say that it cannot.

    Raises ListenError where another gateway, started in the same moment, was quicker.
    """
    try:
        for one in sockets:
            one.listen(backlog)
    except OSError as error:
        for one in sockets:
            one.close()
        raise ListenError(why_not(error, " and ".join(hosts), port, setting)) from error


def port_of(one: socket.socket) -> int:
    """The port that a socket is bound to."""
    return int(one.getsockname()[1])


def url_of(address: tuple[Any, ...]) -> str:
    """The URL of an address, as a socket names its own."""
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _addresses_of(host: str, port: int, setting: str) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenError(why_not(error, host, port, setting)) from error
    return [_Address(host, family, str(place[0]), tuple(map(int, place[2:]))) for family, _, _, _, place in found]


def _without_covered(addresses: list[_Address]) -> list[_Address]:
    every = {address.family for address in addresses if ip_address(address.ip).is_unspecified}
    return [one for one in addresses if one.family not in every or ip_address(one.ip).is_unspecified]


def _open_all(addresses: list[_Address], port: int, *, shared: bool) -> list[socket.socket]:
    only_ipv6 = any(address.family == socket.AF_INET for address in addresses)
    opened: dict[tuple[int, str], socket.socket] = {}
    failed: dict[str, OSError] = {}  # by host, unless another address of it works
    for address in addresses:
        place = (address.family, address.ip)
        at = port_of(next(iter(opened.values()))) if opened else port
        try:
            opened[place] = opened.get(place) or _bound(address, at, only_ipv6=only_ipv6, shared=shared)
        except OSError as error:
            failed[address.host] = error
            if error.errno not in _NOT_HERE:
                break
    works = {address.host for address in addresses if (address.family, address.ip) in opened}
    for host, why in failed.items():
        if why.errno not in _NOT_HERE or host not in works:
            for one in opened.values():
                one.close()
            raise _UnusableError(host, why)
    return list(opened.values())


def _bound(address: _Address, port: int, *, only_ipv6: bool, shared: bool) -> socket.socket:
    one = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if address.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6 or address.ip != "::")
        one.bind((address.ip, port, *address.zone))
    except OSError:
        one.close()
        raise
    one.setblocking(False)
    return one


def why_not(error: OSError, host: str, port: int, setting: str) -> str:
    """Why an address cannot be listened on, in one sentence."""
    if isinstance(error, PermissionError):
        return f"Port {port} needs more rights than this user has; choose one above 1023."
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken. Stop what is using it, or choose another with {setting}."
    return f"Cannot listen on {host}, port {port}: {error.strerror or error}."
