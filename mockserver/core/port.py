"""A port, bound and listened on with nothing but sockets: before there is anything to serve it with."""

import socket

BACKLOG = 512


class PortTaken(OSError):
    """A port cannot be listened on; the message says which and why, in one sentence."""


class Port:
    """A port on one address or several, by commas. Number 0 becomes that of a free one when it is held."""

    def __init__(self, hosts: str, number: int) -> None:
        self.hosts = [host.strip() for host in hosts.split(",")]
        self.number = number
        self._held: list[socket.socket] = []

    @property
    def url(self) -> str:
        """The base URL on the first address, without a slash at the end."""
        host = self.hosts[0]
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

    def _bind(self, host: str) -> socket.socket:
        held: socket.socket | None = None
        try:
            found = socket.getaddrinfo(host, self.number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            held = socket.socket(family, kind, protocol)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(address)
        except OSError as error:
            if held is not None:
                held.close()
            self.let_go()
            raise PortTaken(f"Cannot listen on {host}:{self.number}: {error.strerror}.") from error
        self.number = held.getsockname()[1]
        return held
