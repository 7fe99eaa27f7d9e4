"""Table U: errors, redirects and odd statuses of an upstream: what passes, what is replaced."""

import pytest

from tests.harness import contract
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat, says
from tests.harness.sockets.upstream_visit import Visit, fine
from tests.wire.upstream.faults.loading_answers import LOADING

MIB = 1 << 20
LLAMA = b'{"error":{"code":%d,"message":"the request exceeds the available context size","type":"exceed_context"}}'


ERRORS = {
    **{
        f"{status} JSON": (status, b"application/json; charset=utf-8", LLAMA % status)
        for status in (400, 404, 405, 409, 413, 422, 429, 500, 501, 503, 504, 529)
    },
    "500 HTML": (500, b"text/html", b"<html><script>alert(1)</script></html>"),
    "503 HTML": (503, b"text/html", b"<html>Service Unavailable</html>"),
    "400 plain text": (400, b"text/plain", b"no"),
    "500 nothing": (500, b"application/json", b""),
    "503 nothing": (503, b"application/json", b""),
    "500 of 10 MB": (500, b"application/json", b"x" * 10 * MIB),
    "503 of 10 MB": (503, b"application/json", b"x" * 10 * MIB),
}


@pytest.mark.parametrize(("status", "kind", "body"), ERRORS.values(), ids=ERRORS)
def test_U13_an_error_of_the_model_server_passes_untouched(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: int, kind: bytes, body: bytes
) -> None:
    def script(visit: Visit) -> None:
        visit.read_body()
        lines = (b"Content-Type: " + kind, b"Content-Length: %d" % len(body), b"Retry-After: 7", b"Connection: close")
        visit.send(b"HTTP/1.1 %d Whatever\r\n" % status + b"\r\n".join(lines) + b"\r\n\r\n" + body)
        visit.close()

    with upstream.playing(script):
        response = relay_gateway.ask(chat())
    assert (response.status, response.whole) == (status, True)
    assert response.body == body
    assert response.header("Content-Type") == kind.decode()
    assert response.header("Retry-After") == "7"
    assert response.header("X-Content-Type-Options") == "nosniff"
    assert response.header("Connection") is None  # the upstream's connection is none of the client's business


@pytest.mark.parametrize("body", LOADING)
@pytest.mark.parametrize("chunked", [True, False])
def test_U13_a_model_that_is_loading_is_a_502(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes, chunked: bool
) -> None:
    framed = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    if not chunked:
        framed = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    with upstream.playing(says(head, framed)):
        assert contract.UNREACHABLE.is_kept_by(relay_gateway.ask(chat()))


def test_U13_an_error_that_breaks_off_is_passed_on_as_far_as_it_came(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n"
    with upstream.playing(says(head + b"<html>", then=Visit.close)), relay_gateway.connect() as client:
        client.send(chat())
        assert client.read_head().startswith(b"HTTP/1.1 503 ")
        assert client.read_to_end() == b"<html>"


REDIRECTS = {
    "300 A": b"http://169.254.169.254/latest",
    "301 A": b"http://127.0.0.1/slots",
    "302 A": b"//evil.test",
    "303 A": b"file:///etc/passwd",
    "305 A": b"http://127.0.0.1:1",
    "307 A": b"/v1/models",
    "308 A": b"https://CANARYUP@evil.test",
    "399 A": b"",
}


@pytest.mark.parametrize(("status", "target"), REDIRECTS.items())
def test_U14_a_redirect_is_a_502_and_neither_followed_nor_shown(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: str, target: bytes
) -> None:
    with upstream.playing(lambda visit: visit.answer(b"moved to CANARYUP", status, b"Location: " + target)):
        response = relay_gateway.ask(chat())
    assert contract.UNREACHABLE.is_kept_by(response)
    assert response.header("Location") is None
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_U15_a_refusal_of_the_gateways_own_key_is_a_502_and_logged(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: str
) -> None:
    line = relay_gateway.mark_log()
    with upstream.playing(lambda visit: visit.answer(b"CANARYUPSTREAM is wrong", status, b"WWW-Authenticate: Bearer")):
        response = relay_gateway.ask(chat())
    assert contract.UNREACHABLE.is_kept_by(response)
    assert response.header("WWW-Authenticate") is None
    relay_gateway.log.wait_for(r"refuses the gateway's own upstream_key \(40[13]\)", start=line)


# --- statuses and their words

REASONS = {
    "none": b"HTTP/1.1 200\r\n",
    "empty": b"HTTP/1.1 200 \r\n",
    "odd": b"HTTP/1.1 200 <script>\r\n",
    "UTF-8": "HTTP/1.1 200 прекрасно\r\n".encode(),
    "NUL": b"HTTP/1.1 200 O\0K\r\n",
    "long": b"HTTP/1.1 200 " + b"O" * 5000 + b"\r\n",
}


@pytest.mark.parametrize("line", REASONS.values(), ids=REASONS)
def test_U17_the_upstreams_words_for_its_status_are_not_repeated(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, line: bytes
) -> None:
    with upstream.playing(says(line + b"Content-Length: 2\r\n\r\n{}")):
        response = relay_gateway.ask(chat())
    assert response.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.body == b"{}"


@pytest.mark.parametrize("follows", [b"", b"12345"], ids=["nothing", "bytes"])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("status", [204, 304])
def test_U17_a_status_without_a_body_ends_with_its_head_whatever_follows(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: int, framing: bytes, follows: bytes
) -> None:
    said = b"HTTP/1.1 %d Nothing\r\n%b\r\n" % (status, framing)

    with upstream.playing(says(said, follows)), relay_gateway.connect() as client:
        response = client.ask(chat("steady"))
        assert response.status == status
        assert response.header("Content-Length") is None
        assert response.header("Transfer-Encoding") is None
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
        upstream.script = fine
        assert client.ask(chat("steady")).json() == {"object": "fine"}  # the client's connection is in step
    assert len({received.connection for received in upstream.requests}) == 1 + bool(follows)
