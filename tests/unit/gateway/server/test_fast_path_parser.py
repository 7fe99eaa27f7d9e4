"""What is recognized as a plain request, and what is not."""

from dataclasses import replace

import pytest

from gateway.core.endpoints import ENDPOINTS, Endpoint
from gateway.core.secret_text import digest_of
from gateway.proxy.request_body import HELD_BYTES
from gateway.server.fast_path.fast_path_parser import plain_request
from tests.unit.gateway.server.plain_requests import BEARER, CHAT, CLIENTS, HOST, KEY, MODELS, in_chunks, joined, posted


@pytest.mark.parametrize("data", CLIENTS.values(), ids=CLIENTS)
def test_what_real_clients_send_is_plain(data: bytes) -> None:
    request = plain_request(data)
    assert request is not None
    assert request.missing == 0
    assert request.head.asked.deployment_id == "demo"
    assert request.head.asked.key_digest == digest_of(KEY)
    assert request.body == data.partition(b"\r\n\r\n")[2]
    assert KEY.encode() not in request.head.upward


@pytest.mark.parametrize("query", [b"?beta=true", b"?a=b&c=d-e_f.g"])
def test_a_query_of_plain_characters_is_left_out(query: bytes) -> None:
    plain, asked = plain_request(posted()), plain_request(posted(request_line=CHAT.replace(b" HTTP", query + b" HTTP")))
    assert plain is not None
    assert asked is not None
    assert (asked.head, asked.body) == (plain.head, plain.body)


PLAIN = [endpoint for endpoint in ENDPOINTS.values() if endpoint.is_plain]


@pytest.mark.parametrize("known", PLAIN, ids=lambda known: known.path)
def test_every_endpoint_of_untouched_answers_can_be_asked_plainly(known: Endpoint) -> None:
    line = f"{known.method} /api/gguf/A-z_0.9{known.path} HTTP/1.1".encode()
    request = plain_request(posted(request_line=line) if known.has_body else joined(line, HOST, BEARER))
    assert request is not None
    assert (request.head.asked.endpoint, request.head.asked.deployment_id) == (known, "A-z_0.9")


@pytest.mark.parametrize("path", ["/props", "/health", "/v1/health", "/v1/models/tiny", "/v1/models/{model}"])
def test_what_is_answered_with_another_body_never_takes_the_fast_path(path: str) -> None:
    assert plain_request(joined(f"GET /api/gguf/demo{path} HTTP/1.1".encode(), HOST, BEARER)) is None


REFUSED = {
    # the head as such
    "a bare line feed for a line end": posted().replace(b"\r\nAuth", b"\nAuth"),
    "a bare line feed in a value": posted(b"Accept: a\nX: b"),
    "a bare carriage return in a value": posted(b"Accept: a\rb"),
    "a blank line before the request": b"\r\n" + posted(),
    "a folded line": posted(b"Accept: a", b" b"),
    "a folded line after the length": joined(CHAT, HOST, BEARER, b"Content-Length: 5", b" 5", body=b"hello"),
    "bytes beyond ASCII in a value": posted(b"Accept: \xe9"),
    "a NUL in a value": posted(b"Accept: a\x00b"),
    "a DEL in a value": posted(b"Accept: a\x7fb"),
    "an empty value": posted(b"Accept:"),
    "a value of spaces": posted(b"Accept:   "),
    "a space after a value": posted(b"Accept: a "),
    "a space before the colon": posted(b"Accept : a"),
    "no colon": posted(b"Accept"),
    "no name": posted(b": a"),
    "a space before a name": joined(CHAT, b" Host: a", BEARER, b"Content-Length: 5", body=b"hello"),
    "a bad name": posted(b"Acc(ept: a"),
    "a head that is too long": posted(b"X-Long: " + b"x" * 4000),
    "too many headers": posted(*(b"x-%d: 1" % number for number in range(70))),
    "no end of the head": posted().partition(b"\r\n\r\n")[0],
    "nothing": b"",
    # Host
    "no Host": joined(CHAT, BEARER, b"Content-Length: 5", body=b"hello"),
    "two Hosts": posted(b"host: gateway.test"),
    "a Host with a path": posted(host=b"Host: gateway.test/x"),
    "a Host with a user": posted(host=b"Host: a@gateway.test"),
    "a Host with a port too high": posted(host=b"Host: gateway.test:65536"),
    # framing
    "two lengths that differ": posted(b"Content-Length: 6"),
    "two lengths that are the same": posted(b"Content-Length: 5"),
    "two lengths in two spellings": posted(b"content-length: 5"),
    "a length in capitals": posted().replace(b"Content-Length", b"CONTENT-LENGTH"),
    "a list of lengths": posted().replace(b": 5", b": 5, 5"),
    "a length with a sign": posted().replace(b": 5", b": +5"),
    "a length below nothing": posted().replace(b": 5", b": -5"),
    "a length with two spaces": posted().replace(b": 5", b":  5"),
    "a length without a space": posted().replace(b": 5", b":5"),
    "a length with a tab": posted().replace(b": 5", b":\t5"),
    "a length with a space after it": posted().replace(b": 5", b": 5 "),
    "a length with a leading zero": posted().replace(b": 5", b": 05"),
    "a length with an underscore": posted(b"X: y" * 9).replace(b": 5", b": 0_5"),
    "a length in hex": posted().replace(b": 5", b": 0x5"),
    "a length in other digits": posted().replace(b": 5", ": ٥".encode()),
    "a length beyond all measure": posted().replace(b": 5", b": 99999999999999999999"),
    "a length of nothing": joined(CHAT, HOST, BEARER, b"Content-Length: 0"),
    "an empty length": joined(CHAT, HOST, BEARER, b"Content-Length: "),
    "no length": joined(CHAT, HOST, BEARER),
    "chunks with nothing in them": in_chunks(body=b"0\r\n\r\n"),
    "chunks and something after them": in_chunks() + b"\r\n",
    "chunks, and two requests": in_chunks() * 2,
    "chunks in two headers": in_chunks(b"transfer-encoding: chunked"),
    "chunks of another coding": in_chunks().replace(b": chunked", b": gzip, chunked"),
    "chunks in capitals": in_chunks().replace(b": chunked", b": Chunked"),
    "chunks and a length before them": in_chunks(b"Content-Length: 5"),
    "chunks of a GET": in_chunks().replace(CHAT, MODELS),
    "chunks with a trailer announced": in_chunks(b"Trailer: x"),
    "chunks and a length": posted(b"Transfer-Encoding: chunked"),
    "chunks and a length before it": posted(b"transfer-encoding: identity"),
    "TE": posted(b"TE: trailers"),
    "Trailer": posted(b"Trailer: x"),
    "GET with a length of nothing": joined(MODELS, HOST, BEARER, b"Content-Length: 0"),
    "GET with a body": joined(MODELS, HOST, BEARER, b"Content-Length: 5", body=b"hello"),
    "GET with something after it": joined(MODELS, HOST, BEARER, body=b"hello"),
    "something after the body": posted() + b"\r\n",
    "two requests": posted() * 2,
    # what changes what is meant
    "another expectation": posted(b"Expect: 200-ok"),
    "an expectation in capitals": posted(b"Expect: 100-Continue"),
    "two expectations": posted(b"Expect: 100-continue", b"expect: 100-continue"),
    "an expectation of a GET": joined(MODELS, HOST, BEARER, b"Expect: 100-continue"),
    "Upgrade": posted(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings"),
    "Upgrade alone": posted(b"Upgrade: websocket"),
    "HTTP2-Settings": posted(b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    "a coded body": posted(b"Content-Encoding: gzip"),
    "Connection: close": posted(b"Connection: close"),
    "a header nominated": posted(b"Connection: keep-alive, accept", b"Accept: */*"),
    "Connection: close after another": posted(b"Connection: keep-alive", b"Connection: close"),
    # the request line
    "a query": posted(request_line=CHAT.replace(b" HTTP", b"?a=b! HTTP")),
    "an empty query": posted(request_line=CHAT.replace(b" HTTP", b"? HTTP")),
    "a fragment": posted(request_line=CHAT.replace(b" HTTP", b"#a HTTP")),
    "an escape in the path": posted(request_line=CHAT.replace(b"chat", b"ch%61t")),
    "an escape in the id": posted(request_line=CHAT.replace(b"demo", b"d%65mo")),
    "an escaped slash": posted(request_line=CHAT.replace(b"demo/", b"demo%2f")),
    "two slashes": posted(request_line=CHAT.replace(b"demo/", b"demo//")),
    "a slash at the end": posted(request_line=CHAT.replace(b" HTTP", b"/ HTTP")),
    "a step up": posted(request_line=CHAT.replace(b"demo/", b"demo/../demo/")),
    "no id": posted(request_line=CHAT.replace(b"demo", b"")),
    "an id too long": posted(request_line=CHAT.replace(b"demo", b"d" * 65)),
    "the whole URL": posted(request_line=CHAT.replace(b"/api", b"http://gateway.test/api")),
    "HTTP/1.0": posted(request_line=CHAT.replace(b"1.1", b"1.0")),
    "HTTP/1.2": posted(request_line=CHAT.replace(b"1.1", b"1.2")),
    "HTTP/2.0": posted(request_line=CHAT.replace(b"1.1", b"2.0")),
    "http/1.1": posted(request_line=CHAT.replace(b"HTTP", b"http")),
    "no version": posted(request_line=CHAT.replace(b" HTTP/1.1", b"")),
    "two spaces": posted(request_line=CHAT.replace(b" /", b"  /")),
    "a tab": posted(request_line=CHAT.replace(b" /", b"\t/")),
    "a space at the end": posted(request_line=CHAT + b" "),
    "a method in lower case": posted(request_line=CHAT.replace(b"POST", b"post")),
    "another method": posted(request_line=CHAT.replace(b"POST", b"PUT")),
    "GET where POST is served": joined(CHAT.replace(b"POST", b"GET"), HOST, BEARER),
    "POST where GET is served": posted(request_line=MODELS.replace(b"GET", b"POST")),
    "HEAD": joined(MODELS.replace(b"GET", b"HEAD"), HOST, BEARER),
    "another path": posted(request_line=CHAT.replace(b"chat", b"chit")),
    "another prefix": posted(request_line=CHAT.replace(b"/api/gguf", b"/api/other")),
    # keys
    "no key": joined(CHAT, HOST, b"Content-Length: 5", body=b"hello"),
    "another scheme": posted(key=b"Authorization: Basic gw_plainrequest"),
    "a bare key": posted(key=b"Authorization: gw_plainrequest"),
    "two keys that differ": posted(b"x-api-key: gw_other"),
    "two keys that differ in one header": posted(b"Authorization: Bearer gw_other"),
}
# aiohttp answers 400 to these, and closes after the last.
GAPS = {
    "GET with an empty length": joined(MODELS, HOST, BEARER, b"Content-Length: "),
    "two Content-Types": posted(b"Content-Type: application/json", b"content-type: text/plain"),
    "two User-Agents": posted(b"User-Agent: a", b"User-Agent: a"),
    "two Servers": posted(b"Server: a", b"Server: a"),
    "an old WebSocket's key": posted(b"Sec-WebSocket-Key1: a"),
    "Proxy-Connection: close": posted(b"Proxy-Connection: close"),
}


@pytest.mark.parametrize("data", GAPS.values(), ids=GAPS)
def test_what_aiohttp_would_refuse_is_not_plain(data: bytes) -> None:
    assert plain_request(data) is None


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_needs_a_second_thought_is_not_plain(data: bytes) -> None:
    assert plain_request(posted()) is not None
    assert plain_request(data) is None


def test_the_same_key_in_two_headers_is_one_key() -> None:
    request = plain_request(posted(b"x-api-key: gw_plainrequest"))
    assert request is not None
    assert request.head.asked.key_digest == digest_of(KEY)


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_beginning_says_how_much_is_missing(cut: int) -> None:
    whole = posted()
    request = plain_request(whole[:-cut])
    assert request is not None
    assert (request.missing, request.is_endless, request.body) == (cut, False, b"hello"[:-cut])


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
        b"05\r\nhello\r\n000\r\n\r\n",
    ],
)
@pytest.mark.parametrize("spelling", [b"Transfer-Encoding: chunked", b"transfer-encoding: chunked"])
def test_whole_chunks_are_a_plain_body_that_came_in_pieces(body: bytes, spelling: bytes) -> None:
    request, short = plain_request(in_chunks(body=body).replace(b"Transfer-Encoding: chunked", spelling)), posted()
    known = plain_request(short)
    assert request is not None
    assert known is not None
    assert request.head == replace(known.head, is_chunked=True)
    assert (request.missing, request.body) == (0, b"hello")


@pytest.mark.parametrize(
    "odd", [b"5;a=b\r\nhello\r\n0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"5 \r\n", b"+5\r\n", b"0x5\r\n", b"\n"]
)
def test_odd_chunks_are_never_whole(odd: bytes) -> None:
    request = plain_request(in_chunks(body=b"5\r\nhello\r\n" + odd))
    assert request is not None
    assert (request.missing, request.is_endless) == (1, True)


@pytest.mark.parametrize("cut", [1, 2, 3, 6, 9, 14])
def test_the_beginning_of_chunks_does_not_say_how_much_is_missing(cut: int) -> None:
    request = plain_request(in_chunks()[:-cut])
    assert request is not None
    assert (request.missing, request.is_endless) == (1, True)


def test_the_beginning_of_long_chunks_is_not_plain() -> None:
    assert plain_request(in_chunks(body=b"fffff\r\n" + b"x" * HELD_BYTES)) is None


def test_an_expectation_is_told_and_goes_no_further() -> None:
    request, known = plain_request(posted(b"Expect: 100-continue")), plain_request(posted())
    assert request is not None
    assert known is not None
    assert request.head == replace(known.head, expects=True)


def test_a_body_beyond_what_the_fast_path_carries_is_a_beginning_still() -> None:
    size = HELD_BYTES + 1
    request = plain_request(posted().replace(b": 5", b": %d" % size))
    assert request is not None
    assert request.missing == size - 5


def test_a_remembered_head_does_not_remember_the_length() -> None:
    short = plain_request(posted())
    long = plain_request(posted().replace(b": 5\r\n\r\nhello", b": 11\r\n\r\nhello world"))
    assert short is not None
    assert long is not None
    assert short.head is long.head
    assert (short.body, long.body) == (b"hello", b"hello world")
    assert plain_request(posted().replace(b": 5", b": 4")) is None
