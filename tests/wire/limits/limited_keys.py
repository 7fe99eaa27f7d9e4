"""Keys with limits, one for each case that reaches them, and requests with such a key."""

from tests.harness import scene
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import chunked

_ONE = "concurrent_requests: 1"
LIMITS = {
    "plain": "requests_per_minute: 3",
    "chunks": "requests_per_minute: 3",
    "messages": "requests_per_minute: 3",
    "mixed": "requests_per_minute: 4",
    "openai": "requests_per_minute: 2",
    "anthropic": "requests_per_minute: 1",
    "shadow": "requests_per_minute: 1, shadow: [requests_per_minute]",
    "beside-plain": _ONE,
    "beside-chunks": _ONE,
    "breaks-off": _ONE,
    "refuses": _ONE,
    "streams": _ONE,
    "leaves": _ONE,
    "reserves-plain": "tokens_per_month: 1000",
    "reserves-chunks": "tokens_per_month: 1000",
    "leaves-plain": "tokens_per_month: 1000",
    "leaves-chunks": "tokens_per_month: 1000",
    "is-cut": "tokens_per_month: 1000",
    "unstated-cut": "tokens_per_month: 2000",
    "unstated-emoji": "tokens_per_month: 2000",
    "unstated-new": "tokens_per_month: 2000",
    "tokens": "tokens_per_day: 1000, tokens_per_minute: 5000",
}
_LENGTH = b"Content-Length: %d\r\n\r\n%b" % (len(scene.BODY), scene.BODY)


def key_of(name: str) -> str:
    """The text of a key."""
    return f"gw_CANARYKEY_limited_{name}"


def config(upstream: str) -> str:
    """A configuration with all of them."""
    keys = (f"      - {{name: {name}, key: {key_of(name)}, limits: {{{text}}}}}\n" for name, text in LIMITS.items())
    return scene.config(upstream).replace("  other:\n", f"{''.join(keys)}  other:\n")


def limited(upstream: str, limits: str, server: str) -> str:
    """A configuration with limits on the key that all use."""
    key = f"key: {scene.KEY}"
    return scene.config(upstream, server).replace(key, f"{key}, limits: {{{limits}}}")


def plain(name: str) -> bytes:
    """A request that takes the fast path."""
    return chat("demo", key=key_of(name))


def in_chunks(name: str) -> bytes:
    """One that takes the other way: its query is not of plain characters."""
    chunks = b"Transfer-Encoding: chunked\r\n\r\n" + chunked(scene.BODY)
    return plain(name).replace(b" HTTP", b"?x=y! HTTP", 1).replace(_LENGTH, chunks)


def messages(name: str) -> bytes:
    """One to Anthropic's endpoint."""
    return chat("demo", path="/v1/messages", key=key_of(name))
