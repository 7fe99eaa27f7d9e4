"""Table U: an upstream that is away, or gives no answer that can be shown. One refusal, one attempt, nothing kept."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import contract, scene
from tests.harness.patience import AT_ONCE
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.preloading import built
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import BRISK, Stage, chat
from tests.harness.sockets.upstream_visit import GatewayLeft, Visit


def serves_again(gateway: GatewayProcess, upstream: ScriptedUpstream) -> bool:
    """Whether the next request is answered with its own answer, on a connection that nothing went wrong on."""
    before = {received.connection for received in upstream.requests}
    assert gateway.ask(chat()).json() == {"object": "fine"}
    return upstream.requests[-1].connection not in before


# --- nobody there


@pytest.mark.parametrize(
    ("deployment", "within"),
    [
        pytest.param("closed", AT_ONCE, id="U1 closed port"),
        pytest.param("nameless", AT_ONCE, id="U2 unknown name"),
        pytest.param("longlabel", AT_ONCE, id="U2 impossible name"),
        pytest.param("blackhole", BRISK + AT_ONCE, id="U3 dropped SYNs"),
        pytest.param("slammer", AT_ONCE, id="U4 accepts and closes"),
        pytest.param("unix-gone", AT_ONCE, id="no such Unix socket"),
        pytest.param("tls-stranger", AT_ONCE, id="certificate of an unknown authority"),
        pytest.param("tls-misnamed", AT_ONCE, id="certificate of another name"),
        pytest.param("tls-to-plain", BRISK + AT_ONCE, id="TLS where none is spoken"),
        pytest.param("plain-to-tls", AT_ONCE, id="none where TLS is spoken"),
    ],
)
def test_an_upstream_that_cannot_be_reached_is_a_502_in_time(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, stage: Stage, deployment: str, within: float
) -> None:
    stage.tls.forget()
    stage.misnamed.forget()
    begun = time.monotonic()
    assert contract.UNREACHABLE.is_kept_by(relay_gateway.ask(chat(deployment)))
    assert time.monotonic() - begun < within
    assert not stage.tls.requests
    assert not stage.misnamed.requests


@pytest.mark.slow
def test_U2_a_name_that_no_thread_can_look_up_is_a_502_until_one_can(
    start_gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    no_threads = tmp_path / "no-threads"
    environ = {"LD_PRELOAD": str(built("no_threads.c", tmp_path)), "NO_THREADS": str(no_threads)}
    named = scene.config(f"http://localhost:{upstream.port}", "probes: {interval: 0.1}, log: {format: json}")
    gateway = start_gateway(named, environ=environ)
    gateway.log.wait_for("deployment demo: upstream ok")
    no_threads.touch()
    for _ in range(2):
        assert contract.UNREACHABLE.is_kept_by(gateway.ask(chat()))
    gateway.log.wait_for('"cause":"no thread could be started to look up its host name"')
    gateway.log.wait_for("deployment demo: upstream no thread could be started")
    line = len(gateway.log.lines)
    no_threads.unlink()
    assert gateway.ask(chat()).json() == {"object": "fine"}
    gateway.log.wait_for("deployment demo: upstream ok", start=line)


# --- no answer: it goes before one is there

OK = b"HTTP/1.1 200 OK\r\n"
JSON_HEAD = OK + b"Content-Type: application/json\r\n"
BROKEN_OFF = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 20",
    "half a head": JSON_HEAD,
    "an interim answer and no more": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a head without a byte of its body": JSON_HEAD + b"Content-Length: 17\r\n\r\n",
}
GOING: dict[str, Callable[[Visit], None]] = {"FIN": Visit.close, "RST": Visit.reset}


@pytest.mark.parametrize("go", GOING.values(), ids=GOING)
@pytest.mark.parametrize("said", BROKEN_OFF.values(), ids=BROKEN_OFF)
def test_U4_U6_an_upstream_that_goes_unanswering_is_502_and_asked_once(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, said: bytes, go: Callable[[Visit], None]
) -> None:
    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(said)
        go(visit)

    with upstream.playing(script):
        response = relay_gateway.ask(chat())
    if "Content-Length" in said.decode() and response.status == 200:
        assert not response.whole  # the head had been passed on before the close was seen
    else:
        assert contract.UNREACHABLE.is_kept_by(response)
    assert len(upstream.requests) == 1
    assert serves_again(relay_gateway, upstream)


@pytest.mark.parametrize("go", GOING.values(), ids=GOING)
def test_U4_a_request_that_nobody_read_is_not_sent_again(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, go: Callable[[Visit], None]
) -> None:
    assert relay_gateway.ask(chat()).status == 200  # leaves a connection behind, to be reused
    accepted = upstream.connections
    with upstream.playing(go):
        assert contract.UNREACHABLE.is_kept_by(relay_gateway.ask(chat()))
    _, second = upstream.requests
    assert second.connection <= accepted  # it was there before, be it of the first or of a test before this one
    assert serves_again(relay_gateway, upstream)


# --- no answer: what it says is none

MIB = 1 << 20
BODY = b"Content-Length: 2\r\n\r\n{}"
INVALID: dict[str, bytes] = {
    "U6 interim answers without end": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000,
    "U6 102 without end": b"HTTP/1.1 102 Processing\r\n\r\n" * 1000,
    "U10 prose": b"this is no HTTP\r\n\r\n",
    "U10 zeros": b"\0" * 1000,
    "U10 SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "U10 JSON": b'{"status": "ok"}\n',
    "U10 HTML, which is HTTP/0.9": b"<html><body>It works!</body></html>\r\n",
    "U10 TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "U10 HTTP/0.9": b"HTTP/0.9 200 OK\r\n" + BODY,
    "U10 HTTP/2.0": b"HTTP/2.0 200 OK\r\n" + BODY,
    "U10 HTTP/1.2": b"HTTP/1.2 200 OK\r\n" + BODY,
    "U10 ICY": b"ICY 200 OK\r\n" + BODY,
    "U10 ICE": b"ICE/1.0 200 OK\r\n" + BODY,
    "U10 RTSP/1.0": b"RTSP/1.0 200 OK\r\n" + BODY,
    "U10 RTSP/1.1": b"\r\nRTSP/1.1 200 OK\r\n" + BODY,
    "U10 RTSP first": b"RTSP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + BODY,
    "U10 status 99": b"HTTP/1.1 99 Low\r\n" + BODY,
    "U10 status 600": b"HTTP/1.1 600 High\r\n" + BODY,
    "U10 status 999": b"HTTP/1.1 999 Highest\r\n" + BODY,
    "U10 status 2OO": b"HTTP/1.1 2OO OK\r\n" + BODY,
    "U10 status -1": b"HTTP/1.1 -1 OK\r\n" + BODY,
    "U10 status 2000": b"HTTP/1.1 2000 OK\r\n" + BODY,
    "U10 no status": b"HTTP/1.1 OK\r\n" + BODY,
    "U10 switches protocols": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nfoo",
    "U11 64 KiB of headers": OK + b"".join(b"X-%d: %b\r\n" % (number, b"x" * 1000) for number in range(66)) + BODY,
    "U11 a header of 1 MiB": OK + b"X: " + b"x" * MIB + b"\r\n" + BODY,
    "U11 10000 headers": OK + b"X-Header: value\r\n" * 10_000 + BODY,
    "U11 a header without end": OK + b"X: " + b"x" * 100_000,
    "U11 a reason without end": b"HTTP/1.1 200 " + b"O" * 100_000,
    "U12 the length twice, the same": JSON_HEAD + b"Content-Length: 2\r\n" + BODY,
    "U12 the length twice, differing": JSON_HEAD + b"Content-Length: 3\r\n" + BODY,
    "U12 two lengths in one": JSON_HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
    "U12 length +2": JSON_HEAD + b"Content-Length: +2\r\n\r\n{}",
    "U12 length -2": JSON_HEAD + b"Content-Length: -2\r\n\r\n{}",
    "U12 length 0x2": JSON_HEAD + b"Content-Length: 0x2\r\n\r\n{}",
    "U12 length empty": JSON_HEAD + b"Content-Length:\r\n\r\n{}",
    "U12 length of 20 digits": JSON_HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "U12 unknown coding": JSON_HEAD + b"Transfer-Encoding: xchunked\r\n\r\n{}",
    "U12 gzip, chunked": JSON_HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "U12 chunked, identity": JSON_HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "U12 chunked twice": JSON_HEAD + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n2\r\n{}\r\n0\r\n\r\n",
    "U12 length and coding": JSON_HEAD + b"Transfer-Encoding: chunked\r\n" + BODY,
    "U12 coding and length": JSON_HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "U12 a chunk size that is none": JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "U12 a chunk of 17 digits": JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 17 + b"\r\n{}",
    "U16 NUL in a value": OK + b"Content-Type: a\0b\r\n" + BODY,
    "U16 control in a value": OK + b"Content-Type: a\x01b\r\n" + BODY,
    "U16 bare CR in a value": OK + b"Content-Type: a\rSet-Cookie: b=1\r\n" + BODY,
    "U16 bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "U16 folded header": OK + b"Content-Type: text/plain;\r\n charset=a\r\n" + BODY,
    "U16 no colon": OK + b"Content-Type\r\n" + BODY,
    "U16 space before the colon": OK + b"Content-Length : 2\r\n\r\n{}",
    "U16 no name": OK + b": nothing\r\n" + BODY,
    "U16 space in the name": OK + b"Content Type: a\r\n" + BODY,
    "U17 CR in the reason": b"HTTP/1.1 200 O\rK\r\n" + BODY,
}


@pytest.mark.parametrize("said", INVALID.values(), ids=INVALID)
def test_an_invalid_answer_is_a_502_at_once_and_its_connection_closed(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, said: bytes
) -> None:
    left = []

    def script(visit: Visit) -> None:
        visit.read_body()
        try:
            visit.send(said)
            left.append(visit.wait_until_left())
        except GatewayLeft:
            left.append(True)

    with upstream.playing(script):
        assert contract.UNREACHABLE.is_kept_by(relay_gateway.ask(chat()))
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
    assert left == [True]
    assert len(upstream.requests) == 1
    assert serves_again(relay_gateway, upstream)
