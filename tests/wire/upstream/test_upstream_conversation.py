"""The conversation with an upstream as llama-server and others really hold it: reuse, framing, early answers, TLS."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.harness import contract, scene
from tests.harness.fleet import StartGateway
from tests.harness.gateway_process import GatewayProcess
from tests.harness.patience import PATIENCE
from tests.harness.scripted_upstream import GatewayLeft, ScriptedUpstream, Visit, fine
from tests.harness.stage import DONE, EVENT, Stage, chat, says
from tests.harness.wire_client import chunked, request

MIB = 1 << 20
FINE = {"object": "fine"}


def connections(upstream: ScriptedUpstream) -> list[int]:
    """The connection that each request came on."""
    return [received.connection for received in upstream.requests]


# --- connections that are kept


def test_a_connection_is_kept_for_the_same_deployment_only(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    for deployment in ("demo", "demo", "steady", "steady", "demo"):
        assert relay_gateway.ask(chat(deployment)).json() == FINE
    first, second, third, fourth, fifth = connections(upstream)
    assert first == second == fifth
    assert third == fourth != first


def test_a_connection_serves_fewer_requests_than_llama_server_allows(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    served: Counter[int] = Counter()

    def like_llama_server(visit: Visit) -> None:
        visit.read_body()
        served[visit.received.connection] += 1
        last = served[visit.received.connection] == 100
        visit.answer(b"{}", "200 OK", b"Connection: close" if last else b"Keep-Alive: timeout=5, max=100")
        if last:
            visit.close()

    with upstream.playing(like_llama_server), relay_gateway.connect() as client:
        for _ in range(250):
            assert client.ask(chat()).status == 200
    assert max(served.values()) < 100
    assert len(served) <= 4


@pytest.mark.parametrize("go", [Visit.close, Visit.reset])
def test_U5_a_connection_that_is_closed_after_an_answer_is_not_used_again(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, go: object
) -> None:
    assert callable(go)

    def answer_and_go(visit: Visit) -> None:
        fine(visit)
        go(visit)

    with upstream.playing(answer_and_go):
        outcomes = [relay_gateway.ask(chat()).status for _ in range(50)]
    # The close may come in the very moment in which the next request is sent: that one is a 502, and never sent again.
    assert set(outcomes) <= {200, 502}
    assert outcomes.count(200) <= len(upstream.requests) <= 50
    assert outcomes.count(200) == len(upstream.requests) or go is Visit.reset  # which may destroy an answer


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Internal Server Error", "503 Busy"])
@pytest.mark.parametrize("word", [b"close", b"Close", b"x-other, close"])
def test_a_connection_that_is_said_to_close_is_closed(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: str, word: bytes
) -> None:
    left = []

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.answer(b"{}", status, b"Connection: " + word)
        left.append(visit.wait_until_left())

    with upstream.playing(script), relay_gateway.connect() as client:
        assert client.ask(chat()).status == int(status[:3])
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
        assert client.ask(chat()).status == int(status[:3])  # the client's own connection stays
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
    assert left == [True, True]


# --- framing

TRAILERS = b"".join(b"X-%d: %b\r\n" % (number, b"a" * 1000) for number in range(60))
ANSWERS = {
    "HTTP/1.0 by length": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", False, False),
    "HTTP/1.0 by length, kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
        False,
        True,
    ),
    "HTTP/1.0 until closed": (b"HTTP/1.0 200 OK\r\n\r\n{}", True, False),
    "HTTP/1.1 until closed": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", True, False),
    "HTTP/1.1 until closed, unsaid": (b"HTTP/1.1 200 OK\r\n\r\n{}", True, False),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", False, True),
    "103 first": (
        b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        False,
        True,
    ),
    "ten interim answers": (
        b"HTTP/1.1 102 Processing\r\n\r\n" * 10 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        False,
        True,
    ),
    "an empty line first": (b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", False, True),
    "a length with spaces": (b"HTTP/1.1 200 OK\r\nContent-Length:  \t2 \r\n\r\n{}", False, True),
    "chunks with extensions": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\n{\r\n01;c\r\n}\r\n0\r\nX-Trailer: a\r\n\r\n",
        False,
        True,
    ),
    "many trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + TRAILERS + b"\r\n",
        False,
        True,
    ),
    "200 without a byte": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, True),
}


@pytest.mark.parametrize("cut_at", [None, 1, 20], ids=["whole", "first byte apart", "cut at 20"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_every_way_to_frame_an_answer_is_understood(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, answer: tuple[bytes, bool, bool], cut_at: int | None
) -> None:
    said, closes, kept = answer
    pieces = [said] if cut_at is None else [said[:cut_at], said[cut_at:]]
    with relay_gateway.connect() as client:
        with upstream.playing(says(*pieces, then=Visit.close if closes else lambda _: None)):
            response = client.ask(chat())
        assert (response.status, response.whole, response.interim) == (200, True, 0)
        assert response.body == (b"{}" if said.endswith((b"}", b"a\r\n\r\n")) else b"")
        assert b"cookie" not in response.head.lower()
        assert client.ask(chat()).json() == FINE
    assert len(set(connections(upstream))) == (1 if kept else 2)


def test_a_body_until_the_close_that_ends_in_a_reset_is_not_whole(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf")
        assert seen.wait(PATIENCE)
        visit.reset()

    seen = threading.Event()
    with upstream.playing(script), relay_gateway.connect() as client:
        client.send(chat())
        client.read_head()
        assert client.read_some() == b"4\r\nhalf\r\n"
        seen.set()
        assert client.read_to_end() == b""


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("asked", ["", "Connection: keep-alive", "Connection: close"])
def test_a_client_of_http_1_0_gets_no_chunks(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, framing: bytes, asked: str
) -> None:
    body = b"4\r\nbody\r\n0\r\n\r\n" if b"chunked" in framing else b"body"
    ask = request(scene.CHAT, *([asked] if asked else []), key=scene.KEY, body=scene.BODY, version="HTTP/1.0")
    then = (lambda _: None) if framing else Visit.close
    with relay_gateway.connect() as client:
        with upstream.playing(says(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + body, then=then)):
            response = client.ask(ask)
        assert response.head.startswith(b"HTTP/1.0 200 OK")
        assert (response.body, response.whole) == (b"body", True)
        assert response.header("Transfer-Encoding") is None
        if asked.endswith("alive") and b"Length" in framing:
            assert response.header("Connection") == "keep-alive"
            assert client.ask(ask).json() == FINE
        else:
            assert client.is_closed()


# --- answers before the request is over

LONG = 4 * MIB


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("closes", [False, True])
def test_U20_an_early_answer_is_relayed_its_connection_not_used_again(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, framing: str, closes: bool
) -> None:
    def refuse_unread(visit: Visit) -> None:
        visit.answer(b'{"error":"too long"}', "413 Payload Too Large", *([b"Connection: close"] if closes else []))
        visit.wait_until_left()

    head = f"Content-Length: {LONG}" if framing == "length" else "Transfer-Encoding: chunked"
    body = bytes(LONG) if framing == "length" else chunked(*[bytes(MIB)] * 4)
    with upstream.playing(refuse_unread), relay_gateway.connect() as client:
        client.send(chat("demo", head, body=None) + body[:MIB])
        response = client.read_response()
        client.send(body[MIB:])
        assert (response.status, response.body) == (413, b'{"error":"too long"}')
        assert response.header("Connection") == "close"
        assert client.is_closed()
    assert relay_gateway.ask(chat()).json() == FINE
    assert len(set(connections(upstream))) == 2


def test_U20_a_connection_owed_a_part_of_a_request_is_not_used_again(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    """The upload breaks after the answer has begun; the answer ends as if nothing had happened."""

    def answer_unread(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        assert upload_is_broken.wait(PATIENCE)
        visit.send(b"lf")
        visit.wait_until_left(0.5)

    upload_is_broken = threading.Event()
    line = relay_gateway.mark_log()
    with upstream.playing(answer_unread), relay_gateway.connect() as client:
        client.send(chat("demo", "Transfer-Encoding: chunked", "x-request-id: owing", body=None))
        client.send(b"%x\r\n" % MIB + bytes(MIB) + b"\r\n")
        client.read_head()
        client.send(b"this is no chunk\r\n")
        relay_gateway.wait_until_read(client)
        upload_is_broken.set()
        client.read_to_end()
        relay_gateway.log.wait_for("owing", start=line)
    for _ in range(3):
        assert relay_gateway.ask(chat()).json() == FINE
    assert connections(upstream)[0] not in connections(upstream)[1:]


def test_U22_an_answer_and_its_request_may_pass_at_the_same_time(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    """An upstream that echoes: it takes no more of the request than the client takes of the answer."""
    pieces = [random.Random(number).randbytes(64 << 10) for number in range(64)]

    def echo(visit: Visit) -> None:
        visit.begin_stream()
        for piece in visit.read_body_in_chunks():
            visit.chunk(piece)
        visit.chunk(b"")

    with upstream.playing(echo), relay_gateway.connect() as client:
        client.send(chat("demo", "Transfer-Encoding: chunked", body=None))
        begun = threading.Event()

        def send() -> None:
            for number, piece in enumerate(pieces):
                client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                if number == len(pieces) // 2:
                    assert begun.wait(PATIENCE), "half of the request is sent and no byte of the answer has come"
            client.send(b"0\r\n\r\n")

        sending = threading.Thread(target=send)
        sending.start()
        client.read_head()
        begun.set()
        assert client.read_to_last_chunk() == b"".join(pieces)
        sending.join()
    assert relay_gateway.ask(chat()).json() == FINE


def test_U22_a_whole_answer_before_the_end_of_the_request_is_no_deadlock(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    long_answer = bytes(8 * MIB)
    with upstream.playing(lambda visit: visit.answer(long_answer)), relay_gateway.connect() as client:
        client.send(chat("demo", f"Content-Length: {LONG}", body=None) + bytes(MIB))
        response = client.read_response()
    assert response.body == long_answer


def test_an_upstream_that_reads_slowly_is_not_held_against_the_client(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    """The client, too, sends nothing meanwhile: it cannot."""
    gateway = start_gateway(scene.config(upstream.url, "timeouts: {upload_silence: 2}"))

    def read_late(visit: Visit) -> None:
        time.sleep(2.5)
        fine(visit)

    with upstream.playing(read_late):
        assert gateway.ask(chat(body=bytes(32 * MIB))).json() == FINE
    assert len(upstream.only_request.body) == 32 * MIB


def test_an_upstream_that_never_reads_is_a_504(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    left: list[bool] = []

    def never_read(visit: Visit) -> None:
        assert given_up.wait(PATIENCE)
        left.append(visit.wait_until_left())

    given_up = threading.Event()
    with upstream.playing(never_read), relay_gateway.connect() as client:
        sending = threading.Thread(target=client.send, args=(chat("brisk", body=bytes(32 * MIB)),))
        sending.start()
        assert contract.TIMED_OUT.is_kept_by(client.read_response())
        given_up.set()
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
        sending.join()  # the rest is read away, so that the client sees its answer
    assert left == [True]


# --- TLS and Unix sockets


def stream(visit: Visit) -> None:
    visit.read_body()
    visit.begin_stream()
    visit.chunk(EVENT)
    visit.chunk(DONE)
    visit.chunk(b"")


@pytest.mark.parametrize("deployment", ["tls", "unix"])
def test_TLS_and_Unix_sockets_carry_everything_and_are_reused(
    relay_gateway: GatewayProcess, stage: Stage, deployment: str
) -> None:
    far = stage.tls if deployment == "tls" else stage.unix
    far.forget()
    long = random.Random(1).randbytes(3 * MIB)
    assert relay_gateway.ask(chat(deployment)).json() == FINE
    with far.playing(stream):
        response = relay_gateway.ask(chat(deployment))
    assert (response.body, response.whole) == (EVENT + DONE, True)
    with far.playing(lambda visit: visit.answer(visit.read_body())):
        assert relay_gateway.ask(chat(deployment, body=long)).body == long
    assert len(set(connections(far))) == 1
    host = far.url.removeprefix("https://") if deployment == "tls" else "localhost"
    assert all(received.values("Host") == [host] for received in far.requests)


@pytest.mark.parametrize("deployment", ["tls", "unix"])
@pytest.mark.parametrize("go", [Visit.close, Visit.reset])
def test_a_stream_that_breaks_off_over_TLS_or_a_Unix_socket_is_seen_to(
    relay_gateway: GatewayProcess, stage: Stage, deployment: str, go: object
) -> None:
    assert callable(go)

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        assert seen.wait(PATIENCE)
        go(visit)

    seen = threading.Event()
    far = stage.tls if deployment == "tls" else stage.unix
    with far.playing(script), relay_gateway.connect() as client:
        client.send(chat(deployment))
        client.read_head()
        first = client.read_some()
        seen.set()
        rest = first + client.read_to_end()
    assert b'data: {"error":' in rest
    assert not rest.endswith(b"0\r\n\r\n")


UNFRAMED = {
    "text": (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"half of it"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"half of it"),
    "a stream": (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", EVENT),
    "long": (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"x" * 3 * MIB),
}


@pytest.mark.parametrize(("head", "body"), UNFRAMED.values(), ids=UNFRAMED)
def test_U23_a_body_until_the_end_of_TLS_is_whole_with_a_close_notify(
    relay_gateway: GatewayProcess, stage: Stage, head: bytes, body: bytes
) -> None:
    with stage.tls.playing(says(head + body, then=Visit.close_tls)):
        response = relay_gateway.ask(chat("tls"))
    assert (response.status, response.body, response.whole) == (200, body, True)


@pytest.mark.parametrize("go", [Visit.close, Visit.reset])
@pytest.mark.parametrize(("head", "body"), UNFRAMED.values(), ids=UNFRAMED)
def test_U23_a_body_until_the_end_of_TLS_needs_a_close_notify(
    relay_gateway: GatewayProcess, stage: Stage, head: bytes, body: bytes, go: Callable[[Visit], None]
) -> None:
    """RFC 9112 9.8: the FIN may be a stranger's, who wants half an answer to pass for one (a truncation attack)."""

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(head, body)
        assert seen.wait(PATIENCE)
        go(visit)

    seen = threading.Event()
    with stage.tls.playing(script), relay_gateway.connect() as client:
        client.send(chat("tls"))
        client.read_head()
        client.read_some()
        seen.set()
        rest = client.read_to_end()
    assert not rest.endswith(b"0\r\n\r\n")
    assert (b'data: {"error":' in rest) == (b"event-stream" in head)


def test_U23_a_head_alone_is_an_empty_answer_with_a_close_notify(relay_gateway: GatewayProcess, stage: Stage) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    with stage.tls.playing(says(head, then=Visit.close_tls)):
        response = relay_gateway.ask(chat("tls"))
    assert (response.status, response.body, response.whole) == (200, b"", True)
    with stage.tls.playing(says(head, then=Visit.close)):
        response = relay_gateway.ask(chat("tls"))
    assert (response.status, response.whole) in {(502, True), (200, False)}  # the latter if the head came well before


@pytest.mark.parametrize("deployment", ["tls", "unix"])
def test_a_client_that_leaves_frees_a_TLS_or_Unix_upstream(
    relay_gateway: GatewayProcess, stage: Stage, deployment: str
) -> None:
    far = stage.tls if deployment == "tls" else stage.unix
    far.forget()
    left = []

    def wait(visit: Visit) -> None:
        visit.read_body()
        try:
            left.append(visit.wait_until_left())
        except GatewayLeft:
            left.append(True)

    with far.playing(wait), relay_gateway.connect() as client:
        client.send(chat(deployment))
        assert far.wait_for(lambda far: bool(far.requests) and far.requests[0].whole)
        client.close()
        assert far.wait_for(lambda far: far.busy == 0)
    assert left == [True]
