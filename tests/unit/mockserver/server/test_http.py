"""The protocol below the endpoints: what is no HTTP, what is too much, and how long a connection lives."""

import asyncio
from pathlib import Path

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask, connect, encode, read_answer

BARE = b"HTTP/1.1 %b\r\nServer: llama.cpp\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""What a head is refused with, before any other header is thought of."""

ROUTED = b"Server: llama.cpp\r\nAccess-Control-Allow-Origin: \r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""What a request is refused with that was looked at."""

_GET = b"GET /health HTTP/1.1\r\n"
_POST = b"POST /tokenize HTTP/1.1\r\n"
_FORM = b"Content-Type: multipart/form-data; boundary=x\r\n"

REFUSED_HEADS = {
    "unknown method": b"FOO / HTTP/1.1\r\n\r\n",
    "lower case": b"get /health HTTP/1.1\r\n\r\n",
    "no request line": b"garbage\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n",
    "HTTP/2": b"GET /health HTTP/2.0\r\n\r\n",
    "two empty lines before": b"\r\n\r\n" + _GET + b"\r\n",
    "no colon": _GET + b"bad header\r\n\r\n",
    "blank before the colon": _GET + b"X : a\r\n\r\n",
    "folded": _GET + b"X: a\r\n b\r\n\r\n",
    "bare line feed": _GET + b"X: a\nY: b\r\n\r\n",
    "long field": _GET + b"X: " + b"a" * 9000 + b"\r\n\r\n",
    "many fields": _GET + b"X: a\r\n" * 101 + b"\r\n",
    "length of letters": _POST + b"Content-Length: abc\r\n\r\n{}",
    "negative length": _POST + b"Content-Length: -1\r\n\r\n",
    "two lengths": _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "not in chunks": _POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "accepts nothing": _GET + b"Accept: bad;;;\r\n\r\n",
    "quality above one": _GET + b"Accept: */*;q=2\r\n\r\n",
}
REFUSED_ROUTED = {
    "trace": (b"TRACE /slots HTTP/1.1\r\n\r\n", b"400 Bad Request"),
    "connect": (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", b"400 Bad Request"),
    "bad chunk": (_POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400 Bad Request"),
    "compressed": (_POST + b"Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}", b"415 Unsupported Media Type"),
    "no boundary": (
        _POST + b"Content-Length: 2\r\nContent-Type: multipart/form-data\r\n\r\n{}",
        b"400 Bad Request",
    ),
    "no form": (_POST + b"Content-Length: 2\r\n" + _FORM + b"\r\n{}", b"400 Bad Request"),
}
ANSWERED = {
    "two blanks": (b"GET  /health HTTP/1.1\r\n\r\n", 200),
    "an empty line before": (b"\r\n" + _GET + b"\r\n", 200),
    "two hosts": (_GET + b"Host: a\r\nHost: b\r\n\r\n", 200),
    "no value": (_GET + b"X:\r\n\r\n", 200),
    "any bytes": (_GET + b"X: \xc3\xa9\xff\r\n\r\n", 200),
    "same lengths": (_POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 200),
    "length 0 and chunks": (
        _POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\n{}\r\n0\r\n\r\n",
        200,
    ),
    "coding of no consequence": (_POST + b"Content-Length: 2\r\nContent-Encoding: identity\r\n\r\n{}", 200),
    "unknown expectation": (_POST + b"Content-Length: 2\r\nExpect: nonsense\r\n\r\n{}", 200),
    "websocket": (_GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 200),
    "range within": (_GET + b"Range: bytes=0-3,-1\r\n\r\n", 200),
    "empty elements": (_GET + b"Accept: ,\r\n\r\n", 200),
    "encoded slash": (b"GET /v1%2Fmodels HTTP/1.1\r\n\r\n", 200),
    "encoded letter": (b"GET /healt%68#part?x HTTP/1.1\r\n\r\n", 200),
    "unicode escape": (b"GET /healt%u0068 HTTP/1.1\r\n\r\n", 200),
    "two slashes": (b"GET //health HTTP/1.1\r\n\r\n", 404),
    "dots": (b"GET /v1/../health HTTP/1.1\r\n\r\n", 404),
    "NUL": (b"GET /health%00 HTTP/1.1\r\n\r\n", 404),
    "no UTF-8": (b"GET /%e4?%ff\xff HTTP/1.1\r\n\r\n", 404),
    "absolute": (b"GET http://127.0.0.1/health HTTP/1.1\r\n\r\n", 404),
    "asterisk": (b"GET * HTTP/1.1\r\n\r\n", 404),
    "OPTIONS asterisk": (b"OPTIONS * HTTP/1.1\r\n\r\n", 200),
    "compressed, to nowhere": (b"POST /nope HTTP/1.1\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}", 404),
}
"""What cpp-httplib 0.59, which is in llama.cpp b11434, makes of odd requests."""


async def _exchange(url: str, data: bytes) -> bytes:
    """All that is answered until the connection is closed."""
    reader, writer = await connect(url)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("name", REFUSED_HEADS)
async def test_a_bad_head_gets_400_and_nothing_to_read(name: str) -> None:
    async with MockLlamaServer() as mock:
        assert await _exchange(mock.url, REFUSED_HEADS[name]) == BARE % b"400 Bad Request"


async def test_a_range_of_no_bytes_is_refused_in_the_head() -> None:
    async with MockLlamaServer(api_keys=("secret",)) as mock:
        assert await _exchange(mock.url, _GET + b"Range: bad\r\n\r\n") == BARE % b"416 Range Not Satisfiable"
        refused = await _exchange(mock.url, _GET.replace(b"GET", b"HEAD") + b"Range: bad\r\n\r\n")
        assert refused.endswith(b"Content-Length: 0\r\nAccept-Ranges: bytes\r\n\r\n")


async def test_a_request_line_that_is_too_long_gets_no_answer() -> None:
    async with MockLlamaServer() as mock:
        assert await _exchange(mock.url, b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n") == b""


@pytest.mark.parametrize("name", REFUSED_ROUTED)
async def test_a_body_or_method_is_refused_after_the_key(name: str) -> None:
    request, status = REFUSED_ROUTED[name]
    async with MockLlamaServer() as mock:
        assert await _exchange(mock.url, request) == b"HTTP/1.1 " + status + b"\r\n" + ROUTED
    async with MockLlamaServer(api_keys=("secret",)) as mock:
        assert (await _exchange(mock.url, request)).startswith(b"HTTP/1.1 401 Unauthorized\r\n")


@pytest.mark.parametrize("name", ANSWERED)
async def test_what_is_odd_is_taken(name: str) -> None:
    request, status = ANSWERED[name]
    async with MockLlamaServer() as mock:
        reader, writer = await connect(mock.url)
        writer.write(request)
        assert (await read_answer(reader)).status == status
        writer.close()


async def test_a_range_outside_of_the_answer_is_refused() -> None:
    async with MockLlamaServer() as mock:
        answer = await _exchange(mock.url, _GET + b"Range: bytes=15-\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 416 Range Not Satisfiable\r\nServer: llama.cpp\r\n")
        assert answer.endswith(
            b"Content-Type: application/json; charset=utf-8\r\n" + ROUTED.partition(b"Origin: \r\n")[2]
        )


async def test_a_head_without_carriage_returns_never_ends() -> None:
    async with MockLlamaServer() as mock:
        reader, writer = await connect(mock.url)
        writer.write(b"GET /health HTTP/1.1\n\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        writer.write(b"\r\n\r\n")
        assert await reader.read() == BARE % b"400 Bad Request"
        writer.close()


async def test_a_form_is_the_json_of_its_fields() -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    async with MockLlamaServer() as mock:
        headers = {"Content-Type": 'multipart/form-data; boundary="x"'}
        body = form % (b"tokens", b"1") + form % (b"content", b"a") + b"--x--\r\n"
        assert (await ask(mock.url, "POST", "/tokenize", body=body, headers=headers)).status == 200
        body = form % (b"content", b"\xff") + b"--x--\r\n"
        answer = await ask(mock.url, "POST", "/tokenize", body=body, headers=headers)
        assert (answer.status, answer.header("Content-Type")) == (500, "text/plain")
        assert answer.body == b"[json.exception.type_error.316] invalid UTF-8 byte at index 0: 0xFF"


@pytest.mark.slow
async def test_a_body_that_is_held_back_is_asked_for_once_the_key_is_good() -> None:
    async with MockLlamaServer(api_keys=("secret",)) as mock:
        head = _POST + b"Content-Length: 15\r\nExpect: 100-continue\r\n"
        assert (await _exchange(mock.url, head + b"\r\n")).startswith(b"HTTP/1.1 401 ")
        reader, writer = await connect(mock.url)
        writer.write(head + b"X-Api-Key: secret\r\n\r\n")
        assert await reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b'{"content":"a"}')
        assert (await read_answer(reader)).status == 200
        assert mock.requests[-1].body == b'{"content":"a"}'
        writer.close()


async def test_http_1_0_is_closed_though_it_is_told_otherwise() -> None:
    async with MockLlamaServer() as mock:
        answer = await _exchange(mock.url, b"GET /health HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Keep-Alive: timeout=5, max=100\r\n" in answer


async def test_requests_in_one_piece_are_answered_in_their_order() -> None:
    async with MockLlamaServer() as mock:
        answer = await _exchange(mock.url, (_GET + b"\r\n") * 2 + b"garbage\r\n")
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")] == [b"", b"200", b"200", b"400"]


async def test_a_body_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockserver.server.app._MAX_BODY", 1000)
    async with MockLlamaServer() as mock:
        assert (await ask(mock.url, "POST", "/tokenize", {"content": "x" * 2000})).status == 413


async def test_the_hundredth_answer_of_a_connection_is_its_last() -> None:
    async with MockLlamaServer() as mock:
        reader, writer = await connect(mock.url)
        for number in range(1, 101):
            writer.write(encode("GET", "/health"))
            answer = await read_answer(reader)
            assert answer.header("Connection") == ("close" if number == 100 else None)
        assert await reader.read() == b""
        writer.close()


async def test_an_error_ends_its_connection() -> None:
    async with MockLlamaServer() as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("GET", "/nope"))
        assert (await read_answer(reader)).header("Connection") == "close"
        assert await reader.read() == b""
        writer.close()


async def test_a_page_of_another_machine_may_not_read_when_only_this_one_may() -> None:
    async with MockLlamaServer(cors_origins="localhost") as mock:
        for origin, expected in (("http://localhost:3000", True), ("http://localhost.evil.com", False)):
            answer = await ask(mock.url, "OPTIONS", "/v1/models", headers={"Origin": origin})
            assert (answer.header("Access-Control-Allow-Origin") == origin) is expected


async def test_a_preflight_says_what_is_set_without_credentials_for_any_page() -> None:
    async with MockLlamaServer(cors_credentials=False, cors_methods="GET", cors_headers="X-One") as mock:
        for path in ("/v1/models", "/health"):
            answer = await ask(mock.url, "OPTIONS", path, headers={"Origin": "http://page"})
            allowed = [answer.header(f"Access-Control-Allow-{name}") for name in ("Origin", "Credentials", "Methods")]
            assert allowed == ["*", "false", "GET"]
            assert answer.header("Access-Control-Allow-Headers") == "X-One"


async def test_a_preflight_of_bytes_that_there_are_not_says_what_pages_may() -> None:
    async with MockLlamaServer() as mock:
        answer = await ask(mock.url, "OPTIONS", "/health", headers={"Range": "bytes=0-1"})
        names = [name for name, _ in answer.headers]
        assert answer.status == 416
        assert [name.removeprefix("Access-Control-Allow-") for name in names if name.startswith("Access")] == [
            *("Origin", "Credentials", "Methods", "Headers")
        ]


async def test_a_host_that_ends_in_sock_is_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "llama.sock"
    for _ in range(2):  # the second one takes the place of what the first left
        async with MockLlamaServer(host=str(path)) as mock:
            assert mock.url == f"unix://{path}"
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await read_answer(reader)).json() == {"status": "ok"}
            writer.close()
