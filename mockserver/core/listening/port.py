"""A port, bound and listened on with nothing but sockets: before there is anything to serve it with."""

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

BACKLOG = 512
_OF_FILE = ".sock"
"""How a host ends that is a Unix socket, as for llama-server."""


class PortTaken(OSError):
    """A port cannot be listened on; the message says which and why, in one sentence."""


class Port:
    """A port on one address or several, by commas, of which some may be Unix sockets. Number 0 becomes that of a free
    one when it is held.
    """

    def __init__(self, hosts: str, number: int) -> None:
        self.hosts = [host.strip() for host in hosts.split(",")]
        self.number = number
        self._held: list[socket.socket] = []

    @property
    def url(self) -> str:
        """The base URL on the first address, without a slash at the end."""
        host = self.hosts[0]
        if host.endswith(_OF_FILE):
            return f"unix://{host}"
        return f"http://[{host}]:{self.number}" if ":" in host else f"http://{host}:{self.number}"

    def hold(self) -> None:
        """Bind it: connecting is refused, and no other process can take it. Raises PortTaken."""
        for host in self.hosts[len(self._held) :]:
            self._held.append(self._bind(host))

    def listen(self) -> None:
        """Bind it and have the kernel accept connections, which wait until they are served. Raises PortTaken."""
        self.hold()
        try:
            for held in self._held:
                held.listen(BACKLOG)
        except OSError as error:
            self.let_go()
            raise PortTaken(f"Cannot listen on port {self.number}: {error.strerror}.") from error

    def hand_over(self) -> list[socket.socket]:
        """The sockets, listening, which are the caller's to close from now on."""
        self.listen()
        held, self._held = self._held, []
        return held

    def let_go(self) -> None:
        """Give it up."""
        for held in self._held:
            held.close()
        self._held.clear()

    def descriptors(self) -> Iterator[int]:
        """The numbers of the sockets that hold it."""
        return (held.fileno() for held in self._held)

    def _bind(self, host: str) -> socket.socket:
        try:
            if host.endswith(_OF_FILE):
                return _bound_file(host)
            held = self._bound(host)
        except OSError as error:
            self.let_go()
            place = host if host.endswith(_OF_FILE) else f"{host}:{self.number}"
            raise PortTaken(f"Cannot listen on {place}: {error.strerror}.") from error
        self.number = held.getsockname()[1]
        return held

    def _bound(self, host: str) -> socket.socket:
        found = socket.getaddrinfo(host, self.number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        held = socket.socket(family, kind, protocol)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(address)
        except OSError:
            held.close()
            raise
        return held


def _bound_file(path: str) -> socket.socket:
    """A Unix socket. One that lies there is of an earlier server: llama-server, too, removes none when it ends."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if Path(path).exists() and stat.S_ISSOCK(Path(path).stat().st_mode):
            Path(path).unlink()
        held.bind(path)
    except OSError as error:
        held.close()
        if error.strerror is None:  # a path that is too long has no number of an error
            raise OSError(0, str(error)) from error
        raise
    return held
