"""What proxies in front of the gateway say of a request: that there is one, and whose request it is. Pure: no I/O."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FORWARDED_FOR = "X-Forwarded-For"
_MOST_PROXIES = 50  # in a row: who claims thousands would have each looked for in all networks

# A proxy on this machine makes the whole world look like loopback; one of these shows that there is one. What proxies,
# load balancers and content delivery networks add by themselves, and what their guides tell people to add.
_PROXY_HEADERS = frozenset(
    {
        "cdn-loop",  # RFC 8586
        "client-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "forwarded",  # RFC 7239
        "true-client-ip",
        "via",  # RFC 9110 7.6.3
        "x-amzn-trace-id",
        "x-arr-log-id",
        "x-client-ip",
        "x-cloud-trace-context",
        "x-cluster-client-ip",
        "x-forwarded",
        "x-host",
        "x-nginx-proxy",
        "x-original-host",
        "x-original-uri",
        "x-original-url",
        "x-proxyuser-ip",
        "x-request-start",
        "x-rewrite-url",
        "x-scheme",
    }
)
_PROXY_PREFIXES = (
    "cf-",
    "cloudfront-",
    "ngrok-",
    "tailscale-",
    "x-appengine-",
    "x-azure-",
    "x-envoy-",
    "x-forwarded-",
    "x-original-forwarded-",
    "x-real-",
    "x-vercel-",
)


def shows_proxy(names: Iterable[str]) -> bool:
    """Whether one of a request's headers, given by their names, is one that proxies add."""
    return any(name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIXES) for name in map(str.lower, names))


def parsed_address(text: str) -> Address | None:
    """An address as text, without zone; an IPv4-mapped one (`::ffff:192.0.2.1`) as IPv4. None if it is no address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def parsed_network(text: str) -> Network:
    """An address or network (CIDR), an IPv4-mapped one (`::ffff:10.0.0.0/104`) as IPv4. Raises ValueError."""
    network = ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None else IPv4Network((mapped, network.prefixlen - 96))


class TrustedProxies:
    """The proxies whose word on the address of a client is taken, as addresses or networks (`10.0.0.0/8`)."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(map(parsed_network, networks))

    def client_of(self, peer: str | None, forwarded_for: Iterable[str]) -> str | None:
        """The address of a client: that of the connection's `peer`, unless this is a trusted proxy.

        Then the values of `X-Forwarded-For` are read from the right, as NGINX's `real_ip_recursive` does: each address
        was added by the one to its right, so the first that is not trusted is the client, and what stands further
        left is only what it claims. Where an entry is no address, or behind fifty proxies, the one to its right is as
        far as one can know. None without a peer, as on a Unix socket.
        """
        client = parsed_address(peer or "")
        if client is None:
            return None
        if self._is_trusted(client):
            for entry in reversed(",".join(forwarded_for).rsplit(",", _MOST_PROXIES)[-_MOST_PROXIES:]):
                before = parsed_address(_without_port(entry.strip(" \t")))
                if before is None:
                    break
                client = before
                if not self._is_trusted(client):
                    break
        return str(client)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _without_port(entry: str) -> str:
    """`192.0.2.1:4711` and `[2001:db8::1]:4711`, as some proxies write, without the port."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
