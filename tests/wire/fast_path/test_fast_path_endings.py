"""Both ways through the gateway for clients that leave or do not read, and for a gateway that stops."""

import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness import contract
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.witness import Held, line_of, warm, was_fast, witnessed_config
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient, request

# --- clients that leave


def test_a_client_that_leaves_within_its_body_has_one_line(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream)
    start = witnessed.mark_log()
    for number, pause in enumerate((0, 0.005, 0.06)):
        client = witnessed.connect()
        client.send(chat("demo", f"x-request-id: unfinished-{number}")[:-5])
        time.sleep(pause)
        if number == 1:  # what was not read when a reset comes is lost
            witnessed.wait_until_read(client)
            client.reset()
        else:
            client.close()
    for number in range(3):
        line = line_of(witnessed, f"unfinished-{number}", start)
        assert (line["ending"], line["status"]) == ("client_left", None)
        assert (line["account"], line["key"], line["endpoint"]) == ("acme", "acme/main", "/v1/chat/completions")
    assert len(upstream.requests) == seen


@pytest.mark.parametrize("leave", [WireClient.close, WireClient.reset, WireClient.half_close])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_leaves_takes_the_upstream_connection_with_it(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, leave: Callable[[WireClient], None], streaming: bool
) -> None:
    freed = []

    def wait(visit: Visit) -> None:
        visit.read_body()
        if streaming:
            visit.begin_stream()
            visit.chunk(EVENT)
        freed.append(visit.wait_until_left())

    warm(witnessed, upstream)
    start = witnessed.mark_log()
    with upstream.playing(wait), witnessed.connect() as client:
        client.send(chat("demo", "x-request-id: leaving"))
        if streaming:
            client.read_head()
            client.read_chunk()
        else:
            assert upstream.wait_for(lambda upstream: upstream.busy == 1 and upstream.requests[-1].whole)
        leave(client)
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
    assert freed == [True]
    line = line_of(witnessed, "leaving", start)
    assert (line["ending"], line["status"]) == ("client_left", 200 if streaming else None)
    assert was_fast(witnessed, "leaving", start)


def test_a_client_that_leaves_takes_what_it_sent_ahead_with_it(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream, "pair", 2)
    with upstream.playing(Held()), witnessed.connect() as client:
        client.send(chat("pair", body=b"first"))
        client.read_head()
        client.send(chat("pair", body=b"second"))
        witnessed.wait_until_read(client)
        client.reset()
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
    witnessed.mark_log()
    assert [received.body for received in upstream.requests[seen:]] == [b"first"]


@pytest.mark.parametrize("query", [b"", b"?x=y!"])
def test_a_client_that_leaves_is_missed_though_it_sent_a_request_ahead(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, query: bytes
) -> None:
    freed = []

    def wait(visit: Visit) -> None:
        visit.read_body()
        freed.append(visit.wait_until_left())
        visit.close()

    seen = warm(witnessed, upstream)
    with upstream.playing(wait), witnessed.connect() as client:
        client.send(chat().replace(b" HTTP", query + b" HTTP", 1))
        assert upstream.wait_for(lambda upstream: len(upstream.requests) > seen and upstream.requests[-1].whole)
        client.send(chat(body=b"x" * 90_000))
        witnessed.wait_until_read(client)
        client.reset()
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
    assert freed == [True]


# --- clients that do not read


@pytest.mark.parametrize("query", [b"", b"?x=y!"])
def test_a_client_that_asks_on_and_reads_no_answer_is_held_up(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, query: bytes
) -> None:
    body, most = b"x" * 20_000, 500  # the kernel keeps some 4 MiB of them
    sent = chat("pair").replace(b" HTTP", query + b" HTTP", 1)
    had = warm(witnessed, upstream, "pair")

    def answer(visit: Visit) -> None:
        visit.read_body()
        visit.answer(body)

    def has_come(upstream: ScriptedUpstream, number: int) -> bool:
        return upstream.wait_for(lambda upstream: len(upstream.requests) >= had + number, 0.3)

    with upstream.playing(answer), witnessed.connect() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        asked = 0
        while asked < most and has_come(upstream, asked):
            client.send(sent)
            asked += 1
        for _ in range(asked):
            assert client.read_response().body == body
    assert asked < most


# --- time


@pytest.mark.slow
def test_an_answer_may_last_longer_than_an_idle_connection(
    start_gateway: StartGateway, upstream: ScriptedUpstream, witness: dict[str, str]
) -> None:
    keepalive, answered = 1.0, {}
    gateway = start_gateway(witnessed_config(upstream.url, f"{{keepalive: {keepalive}}}"), (), witness)

    def last(visit: Visit) -> None:
        name = visit.read_body()
        if name == b"lasting":
            visit.begin_stream()
            visit.chunk(EVENT)
        time.sleep(keepalive * 1.4)
        answered[name] = time.monotonic()
        if name == b"lasting":
            visit.chunk(DONE)
            visit.chunk(b"")
        else:
            visit.answer()

    def idle_seconds(name: str) -> float:
        with gateway.connect() as client:
            assert client.ask(chat("pair", f"x-request-id: {name}", body=name.encode())).whole
            assert client.is_closed()
            return time.monotonic() - answered[name.encode()]

    warm(gateway, upstream, "pair", 2)
    start = gateway.mark_log()
    with upstream.playing(last), ThreadPoolExecutor(2) as clients:
        assert all(idle > 0.9 * keepalive for idle in clients.map(idle_seconds, ("lasting", "hesitant")))
    assert was_fast(gateway, "hesitant", start)
    assert was_fast(gateway, "lasting", start)


# --- the end of the gateway


def test_told_to_stop_it_finishes_what_is_under_way_or_half_arrived(
    stopping: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    first, second, sent = Held(), Held(), chat(body=b"half arrived")

    def held(visit: Visit) -> None:
        (second if stopping.log.says("stopping: ") else first)(visit)

    with upstream.playing(held), stopping.connect() as client, stopping.connect() as half, stopping.connect() as idle:
        assert idle.ask(request("/api/gguf/never/api/hello", method="GET")).status == 204
        client.send(chat("demo", "x-request-id: under-way"))
        client.read_head()
        client.read_chunk()
        half.send(sent[:-5])
        stopping.wait_until_read(half)
        stopping.send_signal(signal.SIGTERM)
        stopping.log.wait_for("stopping: 2 requests in progress")
        half.send(sent[-5:])
        assert upstream.wait_for(lambda upstream: upstream.busy == 2)
        client.send(chat(body=b"too late"))
        first.let_end.set()
        assert client.read_chunk() == b""
        assert contract.DRAINING.is_kept_by(client.read_response())
        assert client.is_closed()
        second.let_end.set()
        assert half.read_response().body == b"half arrived"
        assert stopping.wait() == 0
    assert was_fast(stopping, "under-way", 0)
    stopping.log.wait_for("stopped: 2 finished, 0 cut")


def test_when_the_drain_is_over_waiters_are_refused_and_streams_are_cut(
    stopping: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    warm(stopping, upstream, "pair", 2)

    def wait(visit: Visit) -> None:
        if visit.read_body() == b"stream":
            visit.begin_stream()
            visit.chunk(EVENT)
        visit.wait_until_left()

    with upstream.playing(wait), stopping.connect() as streaming, stopping.connect() as waiting:
        waiting.send(chat("pair", "x-request-id: waiting", body=b"wait"))
        streaming.send(chat("pair", "x-request-id: streaming", body=b"stream"))
        streaming.read_head()
        streaming.read_chunk()
        assert upstream.wait_for(lambda upstream: upstream.busy == 2)
        stopping.send_signal(signal.SIGTERM)
        stopping.log.wait_for("stopping: 2 requests in progress")
        stopping.send_signal(signal.SIGTERM)
        refused = waiting.read_response()
        assert contract.DRAINING.is_kept_by(refused)
        assert refused.header("Connection") == "close"
        rest = streaming.read_to_end()
        assert b"The gateway is shutting down." in rest
        assert not rest.endswith(b"0\r\n\r\n")
        assert waiting.is_closed()
        assert stopping.wait() == 0
    for name, ending in (("waiting", "refused"), ("streaming", "shutdown")):
        assert was_fast(stopping, name, 0)
        assert line_of(stopping, name, 0)["ending"] == ending
