"""Both ways through the gateway for requests that come in pieces, several at a time, or ahead of their turn."""

import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness import contract, scene
from tests.harness.patience import PATIENCE, wait_until_blocked
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.witness import Held, echo, warm, was_fast
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import EVENT, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient, chunked


def test_head_and_body_sent_apart_are_one_request(witnessed: GatewayProcess, upstream: ScriptedUpstream) -> None:
    seen = warm(witnessed, upstream)
    with upstream.playing(echo), witnessed.connect() as client:
        for number in range(20):
            body = b"%d" % number * 100
            head, _, _ = chat(body=body).partition(body)
            client.send(head)
            time.sleep(number / 1000)  # shorter than its patience, at first
            client.send(body[:50])
            time.sleep(number / 1000)
            client.send(body[50:])
            assert client.read_response().body == body
    assert [received.body for received in upstream.requests[seen:]] == [b"%d" % number * 100 for number in range(20)]


def test_after_a_slow_body_the_next_request_takes_the_fast_path_again(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream)
    start = witnessed.mark_log()
    with upstream.playing(echo), witnessed.connect() as client:
        for number in range(3):
            sent = chat("demo", f"x-request-id: slow-{number}", body=b"slow body")
            client.send(sent[:-4])
            witnessed.wait_until_read(client)
            witnessed.let_pass(0.06)  # three times its patience
            client.send(sent[-4:])
            assert client.read_response().body == b"slow body"
            assert client.ask(chat("demo", f"x-request-id: next-{number}", body=b"next")).body == b"next"
    for number in range(3):
        assert not was_fast(witnessed, f"slow-{number}", start)
        assert was_fast(witnessed, f"next-{number}", start)
    assert [received.body for received in upstream.requests[seen:]] == [b"slow body", b"next"] * 3


@pytest.mark.slow
def test_after_a_slow_body_in_pieces_the_next_takes_the_fast_path_again(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    """However much of it had come when the long way got it, the long way gets no more than the rest."""
    warm(witnessed, upstream)
    start = witnessed.mark_log()
    with upstream.playing(echo), witnessed.connect() as client:
        for number in range(3):
            body = b"a slow body of some size"
            sent = chat("demo", f"x-request-id: pieces-{number}", body=body)
            for begin in (0, len(sent) - 16, len(sent) - 12, len(sent) - 8):
                client.send(sent[begin : begin + 4 if begin else -16])
                witnessed.wait_until_read(client)
            witnessed.let_pass(0.06)  # three times its patience
            client.send(sent[-4:])
            assert client.read_response().body == body
            assert client.ask(chat("demo", f"x-request-id: after-{number}", body=b"next")).body == b"next"
            assert was_fast(witnessed, f"after-{number}", start)


def test_a_body_that_came_in_time_leaves_no_patience_behind(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    warm(witnessed, upstream)
    start = witnessed.mark_log()
    with upstream.playing(echo), witnessed.connect() as client:
        for number in range(3):
            body = b"%d" % number * 40_000
            sent = chat("demo", f"x-request-id: soon-{number}", body=body)
            for begin in range(0, len(sent), 12_000):
                client.send(sent[begin : begin + 12_000])
                time.sleep(0.002)  # shorter than its patience for all of them
            assert client.read_response().body == body
            witnessed.let_pass(0.06)  # three times its patience
            assert client.ask(chat("demo", f"x-request-id: then-{number}", body=b"next")).body == b"next"
            assert was_fast(witnessed, f"then-{number}", start)


def test_a_request_sent_with_the_end_of_another_is_answered_after_it(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream)
    with upstream.playing(echo), witnessed.connect() as client:
        sent = chat(body=b"late") + chat(body=b"next") + chat(body=b"last")
        client.send(sent[: sent.index(b"late") + 2])
        witnessed.wait_until_read(client)
        witnessed.let_pass(0.06)
        client.send(sent[sent.index(b"late") + 2 : -2])
        assert [client.read_response().body for _ in range(2)] == [b"late", b"next"]
        witnessed.wait_until_read(client)
        witnessed.let_pass(0.06)
        client.send(sent[-2:])
        assert client.read_response().body == b"last"
    assert [received.body for received in upstream.requests[seen:]] == [b"late", b"next", b"last"]


def test_two_requests_in_one_segment_are_both_answered_in_their_order(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream)
    with upstream.playing(echo), witnessed.connect() as client:
        client.send(chat(body=b"first") + chat(body=b"second"))
        assert [client.read_response().body for _ in range(2)] == [b"first", b"second"]
        assert client.ask(chat(body=b"third")).body == b"third"
    assert [received.body for received in upstream.requests[seen:]] == [b"first", b"second", b"third"]


def test_what_is_no_http_is_refused_after_the_answer_that_is_under_way(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen, start, held = warm(witnessed, upstream), witnessed.mark_log(), Held()
    with upstream.playing(held), witnessed.connect() as client:
        client.send(chat("demo", "x-request-id: before-it", body=b"good"))
        client.read_head()
        client.send(b"no http at all\r\n\r\n" + chat(body=b"smuggled"))
        witnessed.wait_until_read(client)
        held.let_end.set()
        assert client.read_to_last_chunk() == b"good"
        assert contract.is_a_refusal(client.read_response(), 400)
        assert client.is_closed()
    assert was_fast(witnessed, "before-it", start)
    assert [received.body for received in upstream.requests[seen:]] == [b"good"]


@pytest.mark.parametrize("ahead", [1, 2])
def test_requests_sent_while_one_is_answered_wait_for_its_end(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, ahead: int
) -> None:
    seen = warm(witnessed, upstream, number=2)  # the first one's own is not idle at once behind its chunks
    start, held = witnessed.mark_log(), Held()
    with upstream.playing(held), witnessed.connect() as client:
        client.send(chat("demo", "x-request-id: under-way", body=b"0"))
        client.read_head()
        assert client.read_chunk() == b"0"
        for number in range(1, ahead + 1):
            client.send(chat("demo", f"x-request-id: ahead-{number}", body=b"%d" % number))
        witnessed.wait_until_read(client)
        assert len(upstream.requests) == seen + 1
        held.let_end.set()
        assert client.read_chunk() == b""
        assert [client.read_response().body for _ in range(ahead)] == [b"%d" % number for number in range(1, ahead + 1)]
    assert was_fast(witnessed, "under-way", start)
    if ahead == 1:
        assert was_fast(witnessed, "ahead-1", start)
    assert [received.body for received in upstream.requests[seen:]] == [b"%d" % number for number in range(ahead + 1)]


def test_what_is_sent_far_ahead_waits_in_the_socket_and_is_not_lost(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    number, held, sent = 150, Held(), [0]
    bodies = [b"%d " % at * 20_000 for at in range(number)]  # 10 MB, of which the kernel keeps some 6 at most
    seen = warm(witnessed, upstream)

    def send_all(client: WireClient) -> None:
        for body in bodies:
            client.send(chat(body=body))
            sent[0] += 1

    with upstream.playing(held), witnessed.connect() as client, ThreadPoolExecutor(1) as sending:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        client.send(chat(body=b"0"))
        client.read_head()
        before = witnessed.memory()
        done = sending.submit(send_all, client)
        wait_until_blocked(sent)
        assert sent[0] < number
        assert witnessed.memory() - before < 2 << 20
        upstream.script = echo
        held.let_end.set()
        assert client.read_to_last_chunk() == b"0"
        for body in bodies:
            assert client.read_response().body == body
        done.result()
    assert [received.body for received in upstream.requests[seen + 1 :]] == bodies


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_however_requests_are_cut_they_are_answered_once_in_their_order(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, seed: int
) -> None:
    def converse(number: int) -> None:
        chance = random.Random(1000 * seed + number)
        bodies = [f"{number}-{turn} ".encode() * chance.choice([1, 9, 9000]) for turn in range(6)]
        data = b"".join(asked(chance, body) for body in bodies)
        cuts = sorted(chance.randrange(len(data)) for _ in range(chance.randrange(10)))
        with witnessed.connect() as client, ThreadPoolExecutor(1) as sending:
            done = sending.submit(send_in_pieces, client, data, cuts, chance)
            assert [client.read_response().body for _ in bodies] == bodies
            done.result()

    seen = warm(witnessed, upstream)
    with upstream.playing(echo), ThreadPoolExecutor(8) as clients:
        list(clients.map(converse, range(24)))
    bodies = [received.body for received in upstream.requests[seen:]]
    assert len(bodies) == len(set(bodies)) == 24 * 6


def asked(chance: random.Random, body: bytes) -> bytes:
    """A request that says this: mostly a plain one."""
    match chance.randrange(6):
        case 0:
            return chat("demo", "Transfer-Encoding: chunked", body=None) + chunked(body)
        case 1:
            return chat(body=body).replace(b" HTTP", b"? HTTP", 1)
        case _:
            return chat(chance.choice(["demo", "bare", "pair"]), body=body)


def send_in_pieces(client: WireClient, data: bytes, cuts: list[int], chance: random.Random) -> None:
    for begin, end_ in zip([0, *cuts], [*cuts, len(data)], strict=True):
        client.send(data[begin:end_])
        time.sleep(chance.choice([0, 0, 0.005, 0.03]))


@pytest.mark.parametrize("query", [b"", b"?x=y!"])
def test_what_follows_a_stream_that_broke_is_not_asked_of_the_upstream(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, query: bytes
) -> None:
    """The connection ends with that stream: nobody could be given the answer."""
    held, start = Held(), witnessed.mark_log()

    def cut(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        assert held.let_end.wait(PATIENCE)
        visit.close()

    seen = warm(witnessed, upstream, "pair", 2)
    with upstream.playing(cut), witnessed.connect() as client:
        client.send(chat("pair", "x-request-id: broken").replace(b" HTTP", query + b" HTTP", 1))
        client.read_head()
        client.read_chunk()
        client.send(chat("pair", body=b"after it"))
        witnessed.wait_until_read(client)
        upstream.script = echo
        held.let_end.set()
        client.read_to_end()
    assert was_fast(witnessed, "broken", start) == (not query)
    witnessed.mark_log()
    assert [received.body for received in upstream.requests[seen:]] == [scene.BODY]
