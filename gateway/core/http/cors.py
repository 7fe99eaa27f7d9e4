"""Which web pages may read the gateway's answers: the CORS protocol of the Fetch standard, section 3.3.

A browser keeps an answer from a page of another origin unless the answer itself allows that origin. This protects the
users of browsers, and not the gateway, which has keys for that. Credentials (cookies) are never allowed: a key travels
in a header that the page sets itself.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from types import MappingProxyType

# Pages on this machine, whatever serves them: what the sandbox lets in.
LOOPBACK_ORIGINS = (
    *("http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"),
    *("https://localhost:*", "https://127.0.0.1:*", "https://[::1]:*"),
)
ORIGIN_FORM = "an origin is a scheme, a host and perhaps a port, like https://app.example.org or http://localhost:*"

# As browsers write one: in lower case, without a path, and without its scheme's own port.
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::([0-9]{1,5}|\*))?").fullmatch
_OWN_PORTS = {"http": "80", "https": "443"}
_TOKENS = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*").fullmatch
_MAX_AGE_SECONDS = 7200  # a browser remembers the answer to a preflight: Chromium no longer than this

# What a page may read beyond the few headers it always may. Those of a model server are families: `*` stands for them.
_EXPOSED = "x-request-id, request-id, retry-after, x-should-retry, *"


@dataclass(frozen=True, slots=True)
class CorsHeaders:
    """What CORS adds to an answer, by name and as lines of a head."""

    fields: Mapping[str, str]
    lines: bytes


def _headers(**fields: str) -> CorsHeaders:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return CorsHeaders(
        MappingProxyType(named), "".join(f"{name}: {value}\r\n" for name, value in named.items()).encode()
    )


NO_CORS = _headers()
_ANY = _headers(Access_Control_Allow_Origin="*", Access_Control_Expose_Headers=_EXPOSED)
_VARIES = _headers(Vary="Origin")


def checked_origin(value: str) -> str:
    """An origin that may be allowed, as browsers write it; its port may be `*`, or all of it. Raises ValueError."""
    if value == "*":
        return value
    if value == "null":
        raise ValueError("`null` is what every sandboxed page calls itself, a stranger's too; it cannot be allowed")
    found = _ORIGIN(value.lower())
    if found is None:
        raise ValueError(ORIGIN_FORM)
    scheme, host, port = found.groups()
    if port not in {None, "*"} and not 0 < int(port) <= 65535:
        raise ValueError(ORIGIN_FORM)
    if host.startswith("["):
        host = f"[{_ipv6(host[1:-1])}]"
    own = _OWN_PORTS.get(scheme)
    return f"{scheme}://{host}" if port is None or port == own else f"{scheme}://{host}:{port.lstrip('0') or '*'}"


def _ipv6(address: str) -> IPv6Address:
    try:
        return IPv6Address(address)
    except ValueError:
        raise ValueError(ORIGIN_FORM) from None


class Cors:
    """The origins whose pages may read, each as `checked_origin` returns it.

    Where there are none, `is_on` is false, and nothing is added to an answer.
    """

    def __init__(self, origins: Collection[str]) -> None:
        self.is_on = bool(origins)
        self._any = "*" in origins
        self._exact = frozenset(origin for origin in origins if not origin.endswith("*"))
        self._any_port = frozenset(origin.removesuffix(":*") for origin in origins if origin.endswith(":*"))

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin, as a browser names it, may read answers."""
        if self._any or origin in self._exact:
            return True
        found = _ORIGIN(origin)
        return found is not None and found[3] != "*" and f"{found[1]}://{found[2]}" in self._any_port

    def headers(self, origin: str | None) -> CorsHeaders:
        """What to add to an answer to a request that names this `Origin`, or none."""
        if not self.is_on:
            return NO_CORS
        if self._any:
            return _ANY
        if origin is None or not self.allows(origin):
            return _VARIES
        return _allowing(origin)


@lru_cache(maxsize=256)
def _allowing(origin: str) -> CorsHeaders:
    return _headers(Access_Control_Allow_Origin=origin, Access_Control_Expose_Headers=_EXPOSED, Vary="Origin")


def is_origin(value: str) -> bool:
    """Whether this is an origin as browsers write one; then it is short and plain, too."""
    return len(value) <= 300 and _ORIGIN(value) is not None


def preflight_fields(method: str, names: str) -> dict[str, str]:
    """What the answer to a preflight adds: the method and the header names it asks for may be used, whichever they are.

    A page can so read the gateway's own refusal of what is not served, and no header passes for being allowed here.
    """
    asked = {"Access-Control-Allow-Methods": method, "Access-Control-Allow-Headers": names}
    allowed = {name: value for name, value in asked.items() if _TOKENS(value)}
    return {**allowed, "Access-Control-Max-Age": str(_MAX_AGE_SECONDS)}
