"""From a host's name to its addresses, without holding up anybody else."""

import asyncio
import contextlib
import socket
import threading
from ipaddress import ip_address

from gateway.proxy.upstream.response_head import UpstreamError


class Resolver:
    """Looks up one host. Raises OSError if it has no address, and UpstreamError if it cannot be looked up now.

    All who ask at a time share one lookup, in a thread of its own. The event loop's lookups would share a few
    threads among all names: one name server that hangs would hold up every upstream, and the end of the process.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._numeric = _is_numeric(host)
        self._lookup: asyncio.Future[list[str]] | None = None

    async def addresses(self) -> list[str]:
        """The host's addresses, the best first."""
        if self._numeric:
            return [self._host]
        if self._lookup is None:
            self._lookup = self._start_lookup()
        return await asyncio.shield(self._lookup)

    def _start_lookup(self) -> "asyncio.Future[list[str]]":
        lookup = asyncio.get_running_loop().create_future()
        try:
            threading.Thread(target=self._look_up, args=(lookup,), name="resolver", daemon=True).start()
        except RuntimeError as error:  # the system's limit; nobody may wait for a lookup that has not begun
            raise UpstreamError("no thread could be started to look up its host name") from error
        return lookup

    def _look_up(self, lookup: "asyncio.Future[list[str]]") -> None:
        found: list[str] | OSError
        try:
            entries = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
        except (OSError, UnicodeError):  # UnicodeError: a name that DNS cannot spell
            found = socket.gaierror("no such name")
        with contextlib.suppress(RuntimeError):  # the event loop has been closed meanwhile
            lookup.get_loop().call_soon_threadsafe(self._finish, lookup, found)

    def _finish(self, lookup: "asyncio.Future[list[str]]", found: list[str] | OSError) -> None:
        self._lookup = None
        if isinstance(found, OSError):
            lookup.set_exception(found)
            lookup.exception()  # seen: all who asked may have given up
        else:
            lookup.set_result(found)


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
