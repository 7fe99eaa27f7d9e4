"""Decides who may see the operator's pages. To anybody else their paths look like ones that are not served."""

import re
from collections.abc import Iterable

from aiohttp import hdrs, web

from gateway.config.server_settings import is_loopback
from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE
from gateway.core.http.cors import NO_CORS
from gateway.core.http.forwarding import parsed_address, shows_proxy

_PORT = re.compile(r":[0-9]+$")


class OperatorAccess:
    """Who may see `what`: "loopback", "everyone" or nobody ("off"), under loopback's names and `hosts`."""

    def __init__(self, what: str, shown_to: str, hosts: Iterable[str]) -> None:
        self._what = what
        self.shown_to = shown_to
        self._hosts = frozenset(host.strip("[]").lower() for host in hosts)

    @property
    def is_local(self) -> bool:
        """Whether all who get in are on this machine."""
        return self.shown_to == "loopback"

    def let_in(self, request: web.Request) -> None:
        """Raise the 404 of any unknown path, or 421 for a name that is not ours, unless it may be shown.

        The name matters because a page elsewhere may have its own name resolved to 127.0.0.1 (DNS rebinding).
        With "everyone" any name will do, unless `hosts` lists some.
        """
        if self.shown_to == "off":
            raise Refusal(errors.NO_SUCH_PATH, cause=f"{self._what} is off")
        if self.is_local and not is_from_here(request.remote):
            raise Refusal(errors.NO_SUCH_PATH, cause=f"{self._what} answers to this machine only")
        if self.is_local and shows_proxy(request.headers):
            raise Refusal(errors.NO_SUCH_PATH, cause=f"{self._what} does not answer through a proxy")
        if (self.is_local or self._hosts) and not self._is_our_name(request.headers.get(hdrs.HOST, "")):
            raise Refusal(errors.MISDIRECTED)
        request[EXCHANGE].cors = NO_CORS  # a page that may call deployments may not read what is the operator's

    def _is_our_name(self, host: str) -> bool:
        name = _PORT.sub("", host).strip("[]").lower()
        return is_loopback(name) or name in self._hosts


def is_from_here(peer: str | None) -> bool:
    """Whether an address is this machine's loopback, an IPv4-mapped one (`::ffff:127.0.0.1`) included."""
    address = parsed_address(peer or "")
    return address is not None and address.is_loopback
