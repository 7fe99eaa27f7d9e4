"""Which headers carry a key, and which may pass, up and down. Allowlists: what is not named here does not pass."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from multidict import CIMultiDictProxy

from gateway.core.secret_text import digest_of

# The headers a key is accepted in. None of them is in the lists below, so the same list is what is stripped.
KEY_HEADERS = ("authorization", "x-api-key", "key")

# What clients of the two protocols send for the model server. Left out on purpose: cookies, anything about
# the client's address, other products' routing headers, and llama-server's X-Conversation-Id, which would
# let a generation outlive its client.
_UP = frozenset({b"accept", b"accept-encoding", b"accept-language", b"content-type", b"traceparent", b"tracestate"}) | {
    b"user-agent",
    b"x-app",
}
_UP_PREFIXES = (b"anthropic-", b"openai-", b"x-stainless-", b"x-claude-code-")
# `anthropic-api-key` looks like the family above and is some client's idea of a key header.
_NEVER_UP = frozenset({b"anthropic-api-key", b"openai-api-key"})

_DOWN = {
    name.lower(): name
    for name in (b"Content-Type", b"Content-Encoding", b"Content-Language", b"Retry-After", b"x-should-retry")
}
_DOWN_PREFIXES = (b"anthropic-", b"openai-", b"x-ratelimit-")

# Of those that pass, the ones whose value is a list: only such a header may come on several lines, and these may be
# joined (RFC 9110 5.3). Lists by RFC 9110 8.4, 8.5 and 12.5, W3C Trace Context 3.3, and Anthropic's and OpenAI's APIs.
_LISTS = frozenset({b"accept", b"accept-encoding", b"accept-language", b"content-encoding", b"content-language"}) | {
    b"anthropic-beta",
    b"openai-beta",
    b"tracestate",
}

# A header line that all implementations read alike: a token, and a value that neither is empty nor has odd bytes.
PLAIN_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)").fullmatch

# RFC 9110 5.5 without obs-text: a value outside it is not forwarded in either direction.
_PLAIN_VALUE = re.compile(rb"[\t\x20-\x7e]*").fullmatch
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}").fullmatch

REQUEST_ID = "x-request-id"
ANTHROPIC_REQUEST_ID = "request-id"  # the same, where Anthropic's SDKs look for it
# What every answer of the gateway carries, the upstream's answers included.
ALWAYS = MappingProxyType({"Server": "gguf-gateway", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"})
ALWAYS_LINES = "".join(f"{name}: {value}\r\n" for name, value in ALWAYS.items()).encode() + b"\r\n"  # ends a head

_OF_LIMITS = (b"x-ratelimit-", b"anthropic-ratelimit-")

RawHeaders = Iterable[tuple[bytes, bytes]]


# In the place of a digest, for a request that presents no key, or several. No SHA-256 is as short.
NO_KEY, NOT_BEARER, KEYS_DIFFER = b"no key", b"not bearer", b"keys differ"
NO_DIGESTS = frozenset({NO_KEY, NOT_BEARER, KEYS_DIFFER})


def presented_digest(headers: "CIMultiDictProxy[str]") -> bytes:
    """The SHA-256 of the one key that a request presents; one of `NO_DIGESTS` if it presents none.

    A bearer scheme is matched in any case (RFC 9110 11.1); any other scheme, and a bare key in
    `Authorization`, is not a key. Spaces around a key are not part of it. An empty key is none: a configuration may
    hold the SHA-256 of "" by mistake, and it must open nothing.
    """
    keys = {
        _bearer(value) if name == "authorization" else value.strip(" \t")
        for name in KEY_HEADERS
        if name in headers
        for value in headers.getall(name)
    }
    if len(keys) > 1:
        return KEYS_DIFFER
    key = keys.pop() if keys else ""
    if not key:
        return NOT_BEARER if headers.get("authorization", "").strip(" \t") else NO_KEY
    return digest_of(key)


def _bearer(value: str) -> str:
    scheme, _, token = value.strip(" \t").partition(" ")
    return token.strip(" \t") if scheme.lower() == "bearer" else ""


def upward(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The client's headers that its model server may see, each at most once, names in lower case.

    A list that comes on several lines is joined; of any other header the first counts.
    """
    passed: dict[bytes, bytes] = {}
    nominated: set[bytes] = set()
    for raw_name, value in headers:
        name = _upward_name(raw_name)
        if name == b"connection":  # it declares others hop-by-hop (RFC 9110 7.6.1)
            nominated.update(part.strip().lower() for part in value.split(b","))
        elif name is not None and _PLAIN_VALUE(value):
            passed[name] = value if name not in passed else merged(name, passed[name], value)
    return [header for header in passed.items() if header[0] not in nominated]


def merged(name: bytes, first: bytes, second: bytes) -> bytes:
    """The value of a header, its name in lower case, that has come on two lines."""
    return b", ".join(filter(None, (first, second))) if name in _LISTS else first


def lines_of(headers: RawHeaders) -> bytes:
    """The headers as lines of a head."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


@lru_cache(maxsize=512)
def _upward_name(raw_name: bytes) -> bytes | None:
    """A header's name in lower case if it may go up, or is `connection`; else None."""
    name = raw_name.lower()
    passes = name in _UP or name == b"connection" or (name.startswith(_UP_PREFIXES) and name not in _NEVER_UP)
    return name if passes else None


def downward(headers: Mapping[bytes, bytes]) -> list[bytes]:
    """The model server's headers, names in lower case, that the client may see: a line each."""
    return [
        line
        for name, value in headers.items()
        if (written := _downward_name(name)) is not None and (line := _line(written, value))
    ]


@lru_cache(maxsize=512)
def _line(name: bytes, value: bytes) -> bytes:
    """The header as a line, or nothing if its value must not be repeated."""
    return b"%b: %b" % (name, value) if _PLAIN_VALUE(value) else b""


@lru_cache(maxsize=512)
def _downward_name(name: bytes) -> bytes | None:
    """How a header that may go down is written; None for the others."""
    return _DOWN.get(name, name if name.startswith(_DOWN_PREFIXES) else None)


def without_limits(lines: bytes) -> bytes:
    """Lines of a head without those that tell of limits: an upstream's own are none of the client's, who has others."""
    if b"ratelimit-" not in lines:
        return lines
    return b"".join([line for line in lines.splitlines(keepends=True) if not line.startswith(_OF_LIMITS)])


def request_id_lines(request_id: str) -> bytes:
    """The headers that name the request, in the answer, as lines of its head."""
    return f"x-request-id: {request_id}\r\nrequest-id: {request_id}\r\n".encode("ascii")


def request_id_fields(request_id: str) -> dict[str, str]:
    """The same headers by name."""
    return {REQUEST_ID: request_id, ANTHROPIC_REQUEST_ID: request_id}


def is_sane_request_id(value: str) -> bool:
    """Whether a client's `x-request-id` may appear in our log and answer: up to 128 of `A-Z a-z 0-9 . _ -`."""
    return _REQUEST_ID(value) is not None
