"""Plain requests, as clients send them, to be read or to be spoiled."""

KEY = "gw_plainrequest"
CHAT = b"POST /api/gguf/demo/v1/chat/completions HTTP/1.1"
MODELS = b"GET /api/gguf/demo/v1/models HTTP/1.1"
HOST = b"Host: gateway.test"
BEARER = b"Authorization: Bearer gw_plainrequest"


def joined(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def posted(*lines: bytes, host: bytes = HOST, key: bytes = BEARER, request_line: bytes = CHAT) -> bytes:
    """A plain request with a body of five bytes and these lines besides."""
    return joined(request_line, host, key, *lines, b"Content-Length: 5", body=b"hello")


def in_chunks(*lines: bytes, body: bytes = b"5\r\nhello\r\n0\r\n\r\n") -> bytes:
    """A request that is plain but for the chunks in which its body comes."""
    return joined(CHAT, HOST, BEARER, *lines, b"Transfer-Encoding: chunked", body=body)


# Heads as these clients send them, in their order and spelling.
HTTPX = joined(
    b"POST /api/gguf/demo/v1/embeddings HTTP/1.1",
    b"Host: 127.0.0.1:8080",
    b"Accept: */*",
    b"Accept-Encoding: gzip, deflate, br, zstd",
    b"Connection: keep-alive",
    b"User-Agent: python-httpx/0.28.1",
    BEARER,
    b"Content-Length: 2",
    b"Content-Type: application/json",
    body=b"{}",
)
OPENAI_PYTHON = joined(
    CHAT,
    b"Host: 127.0.0.1:8080",
    b"Accept-Encoding: gzip, deflate",
    b"Connection: keep-alive",
    b"Accept: application/json",
    b"Content-Type: application/json",
    b"User-Agent: OpenAI/Python 1.99.0",
    b"X-Stainless-Lang: python",
    b"X-Stainless-Package-Version: 1.99.0",
    b"X-Stainless-OS: Linux",
    b"X-Stainless-Arch: x64",
    b"X-Stainless-Runtime: CPython",
    b"X-Stainless-Runtime-Version: 3.12.3",
    BEARER,
    b"X-Stainless-Async: false",
    b"x-stainless-retry-count: 0",
    b"x-stainless-read-timeout: 600",
    b"Content-Length: 2",
    body=b"{}",
)
ANTHROPIC_PYTHON = joined(
    b"POST /api/gguf/demo/v1/messages HTTP/1.1",
    b"Host: 127.0.0.1:8080",
    b"Accept-Encoding: gzip, deflate",
    b"Connection: keep-alive",
    b"Accept: application/json",
    b"Content-Type: application/json",
    b"User-Agent: Anthropic/Python 0.60.0",
    b"X-Stainless-Lang: python",
    b"X-Api-Key: gw_plainrequest",
    b"anthropic-version: 2023-06-01",
    b"x-stainless-retry-count: 0",
    b"x-stainless-timeout: 600",
    b"Content-Length: 2",
    body=b"{}",
)
CURL = joined(
    CHAT,
    b"Host: 127.0.0.1:8080",
    b"User-Agent: curl/8.5.0",
    b"Accept: */*",
    BEARER,
    b"Content-Type: application/json",
    b"Content-Length: 2",
    body=b"{}",
)
NODE_FETCH = joined(
    CHAT,
    b"host: localhost:8080",
    b"connection: keep-alive",
    b"content-type: application/json",
    b"authorization: Bearer gw_plainrequest",
    b"accept: */*",
    b"accept-language: *",
    b"sec-fetch-mode: cors",
    b"user-agent: node",
    b"accept-encoding: gzip, deflate",
    b"content-length: 2",
    body=b"{}",
)
GET_MODELS = joined(MODELS, b"Host: [::1]:8080", b"User-Agent: curl/8.5.0", b"Accept: */*", b"key: gw_plainrequest")
CLIENTS = {
    "httpx": HTTPX,
    "openai-python": OPENAI_PYTHON,
    "anthropic": ANTHROPIC_PYTHON,
    "curl": CURL,
    "Node fetch": NODE_FETCH,
    "GET": GET_MODELS,
}
