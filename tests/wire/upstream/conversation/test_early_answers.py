"""Answers that come before the request is over, and upstreams that do not read it."""

import random
import threading
import time

import pytest

from tests.harness import contract, scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Visit, fine
from tests.harness.sockets.wire_client import chunked
from tests.wire.upstream.conversation.connections import connections

MIB = 1 << 20
FINE = {"object": "fine"}
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
        client.send(chat("demo", "Transfer-Encoding: chunked", path="/v1/embeddings", body=None))
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


@pytest.mark.slow
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
