"""What is no JSON, no request that any endpoint knows, and no HTTP."""

from random import Random

from scripts.drifting.exchange import Request

_JSON = (("Content-Type", "application/json"),)
_POSTED = (
    *("/v1/chat/completions", "/v1/completions", "/completion", "/v1/messages", "/v1/responses", "/tokenize"),
    *("/detokenize", "/apply-template", "/infill", "/lora-adapters", "/v1/embeddings", "/v1/rerank", "/props"),
)
_GOTTEN = (
    *(
        "/health",
        "/v1/health",
        "/props",
        "/slots",
        "/metrics",
        "/v1/models",
        "/models",
        "/lora-adapters",
        "/",
        "/tools",
    ),
    *(
        "/v1/stream",
        "/v1/stream?conv_id=a",
        "/slots?fail_on_no_slot=1",
        "/cors-proxy",
        "/models/sse",
        "/v1/models/local",
    ),
)
_BODIES = (
    *(
        b"",
        b"{",
        b"}",
        b"[",
        b"null",
        b"true",
        b"7",
        b'"text"',
        b"[]",
        b"{}",
        b"text",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 01}',
    ),
    *(
        b'{"a" 1}',
        b'{"a": tru}',
        b'{"a": 1}}',
        b'{"a": +1}',
        b'{"a": .5}',
        b'{"a": 1.}',
        b'{"a": 1e}',
        b'{"a": Infinity}',
    ),
    *(
        b'{"a": "\\q"}',
        b'{"a": "\\u12"}',
        b'{"a": "\\ud800"}',
        b'{"a": "\n"}',
        b'{"a": "\x01"}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
    ),
    *(
        b'{"a": "\xe4\xb8"}',
        b'{"a": 1e400}',
        b"/* c */{}",
        b'{"a": "open',
        b"[1, 2",
        b"[" * 60,
        b'{"a": 1} {"b": 2}',
        b"\x00",
    ),
    b'{"prompt": "a", "prompt": "b", "n_predict": 1, "max_tokens": 1}',
)
_TYPES = (
    *((_JSON,) * 4),
    (),
    (("Content-Type", "text/plain"),),
    (("Content-Type", "application/x-www-form-urlencoded"),),
    (("Content-Type", "multipart/form-data; boundary=b"),),
    (*_JSON, ("Content-Encoding", "gzip")),
    (*_JSON, ("Content-Encoding", "identity")),
    (*_JSON, ("Expect", "100-continue")),
)
_METHODS = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "NOPE")
_PATHS = (
    "/nope",
    "/v1",
    "/v1/",
    "/v1//models",
    "//health",
    "/health/",
    "/HEALTH",
    "/v1%2fmodels",
    "/%6dodels",
    "/%",
    "/a%00b",
    "/..",
    "/health?",
    "*",
)
_HEADERS = (
    (("Origin", "http://a.example"),),
    (("Origin", "null"),),
    (("Origin", "http://a.example"), ("Access-Control-Request-Method", "POST")),
    (("Accept", "text/html"),),
    (("Accept", "a;b;c;;"),),
    (("Accept-Encoding", "gzip"),),
    (("Range", "bytes=0-1"),),
    (("Range", "lines=1"),),
    (("Connection", "close"),),
    (("Authorization", "Bearer nobody"),),
    (("X-Conversation-Id", "talk"),),
    (("Cookie", "a=b"),),
)
_WIRE = (
    b"GET /health HTTP/1.0\r\n\r\n",
    b"GET /health HTTP/1.1\r\n\r\n",
    b"GET /health HTTP/1.2\r\nHost: a\r\n\r\n",
    b"GET /health\r\n\r\n",
    b"GET  /health HTTP/1.1\r\nHost: a\r\n\r\n",
    b"hello there\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost a\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET http://a/health HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
    b"GET /health?" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 110 + b"\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n{}",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
)


def bad_body(random: Random) -> Request:
    """A POST whose body no endpoint can read, or whose type it does not want."""
    return Request("bad body", "POST", random.choice(_POSTED), random.choice(_TYPES), random.choice(_BODIES))


def plain_get(random: Random) -> Request:
    """A GET of what there is to get."""
    return Request(
        "get", random.choice(("GET", "GET", "GET", "HEAD")), random.choice(_GOTTEN), random.choice(((), *_HEADERS))
    )


def odd_route(random: Random) -> Request:
    """A method or a path that is not served so."""
    method, headers = random.choice(_METHODS), random.choice(((), (), *_HEADERS))
    path = random.choice(_PATHS if random.random() < 0.5 else (*_POSTED, *_GOTTEN))
    posts = method in ("POST", "PUT", "PATCH")
    return Request("route", method, path, (*headers, *_JSON) if posts else headers, b"{}" if posts else None)


def odd_wire(random: Random) -> Request:
    """Bytes at the edges of HTTP."""
    raw = random.choice(_WIRE)
    return Request("wire", raw.split(b" ")[0].decode(), "/health", raw=raw)


def odd_header(random: Random) -> tuple[tuple[str, str], ...]:
    """Headers that change nothing, or much."""
    return random.choice(_HEADERS)
