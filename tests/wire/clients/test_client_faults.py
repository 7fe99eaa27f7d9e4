"""Table C: clients that speak TLS, leave, stall, trickle. (C1 to C3: `test_disconnect.py`.)"""

import random
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.patience import AT_ONCE, wait_until, wait_until_blocked
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat
from tests.harness.sockets.upstream_visit import Visit, fine
from tests.harness.sockets.wire_client import WireClient, chunked

MIB = 1 << 20
FINE = {"object": "fine"}


def hose(visit: Visit) -> None:
    """A stream that never ends."""
    visit.read_body()
    visit.begin_stream()
    while True:
        visit.chunk(EVENT * 1000)


def ending_of(gateway: GatewayProcess, name: str, start: int) -> str:
    """How the log says that a request ended."""
    return gateway.log.wait_for(rf'"id": ?"{name}".*"ending": ?"(\w+)"', start=start)[1]


# --- C13: TLS, where none is offered


def test_C13_a_client_that_speaks_TLS_learns_at_once_that_this_is_not_TLS(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    context = ssl.create_default_context()
    for name in ("gateway.test", None):
        context.check_hostname = name is not None
        with gateway.connect() as client:
            begun = time.monotonic()
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                context.wrap_socket(client.socket, server_hostname=name)
            assert time.monotonic() - begun < AT_ONCE
    assert gateway.ask(chat()).json() == FINE
    assert len(upstream.requests) == 1


# --- C4: leaving at any moment


def test_C4_two_hundred_that_leave_at_any_moment_leave_nothing_behind(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, seed: int
) -> None:
    """In `pair`, where every place that is lost would be missed at once. In the end all of them are free."""

    def dawdle(visit: Visit) -> None:
        chance = random.Random(f"{seed} upstream {len(upstream.requests)}")
        visit.read_body()
        time.sleep(chance.uniform(0, 0.005))
        visit.begin_stream()
        for _ in range(20):
            visit.chunk(EVENT)
            time.sleep(chance.uniform(0, 0.002))
        visit.chunk(DONE)
        visit.chunk(b"")

    asked = chat("pair")
    long = chat("pair", "Transfer-Encoding: chunked", body=None) + chunked(*[bytes(65536)] * 8)

    def leave(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        client = relay_gateway.connect()
        data = long if number % 4 == 0 else asked
        client.send(data[: chance.randrange(1, len(data)) if number % 3 == 0 else len(data)])
        time.sleep(chance.uniform(0, 0.03))
        if number % 2:
            client.close()
        else:
            client.reset()

    with upstream.playing(dawdle), ThreadPoolExecutor(8) as clients:
        list(clients.map(leave, range(200)))
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
    for _ in range(200):
        assert relay_gateway.ask(chat("pair")).json() == FINE
    assert [relay_gateway.connections("pair", state) for state in ("in_use", "waiting")] == [0, 0]
    assert re.search(r'gguf_open_exchanges{deployment="pair"} 0\.0', relay_gateway.metrics())


# --- C5: half a close is a whole one


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/embeddings"])
def test_C5_a_client_that_closes_its_half_has_left(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, path: str
) -> None:
    freed = []

    def wait(visit: Visit) -> None:
        visit.read_body()
        freed.append(visit.wait_until_left())

    line = relay_gateway.mark_log()
    with upstream.playing(wait), relay_gateway.connect() as client:
        client.send(chat("demo", "x-request-id: half", path=path))
        assert upstream.wait_for(lambda upstream: bool(upstream.requests) and upstream.requests[0].whole)
        begun = time.monotonic()
        client.half_close()
        assert client.read_to_end() == b""
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
        assert time.monotonic() - begun < AT_ONCE
    assert freed == [True]
    assert ending_of(relay_gateway, "half", line) == "client_left"


def test_C5_a_client_that_closes_its_half_in_a_stream_has_left(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    freed = []

    def talk(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        freed.append(visit.wait_until_left())

    with upstream.playing(talk), relay_gateway.connect() as client:
        client.send(chat())
        client.read_head()
        client.half_close()
        rest = client.read_to_end()
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
    assert freed == [True]
    assert not rest.endswith(b"0\r\n\r\n")


# --- C6, C7: readers that do not


@pytest.mark.slow
@pytest.mark.parametrize("clients", [1, 25])
def test_C6_readers_that_stall_cost_a_mebibyte_each_and_hold_up_nobody(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, clients: int
) -> None:
    """A mebibyte each, and one for what a gateway keeps since its first long stream, whoever reads that."""
    sent: list[int] = []

    def measured_hose(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        number = len(sent)
        sent.append(0)
        while True:
            visit.chunk(EVENT * 1000)
            sent[number] += 1

    relay_gateway.ask(chat())
    relay_gateway.forget_peak()
    before = relay_gateway.memory()
    with upstream.playing(measured_hose):
        stalled = [relay_gateway.connect() for _ in range(clients)]
        for client in stalled:
            client.send(chat())
        for client in stalled:
            client.read_head()
        wait_until_blocked(sent)
        upstream.script = fine
        begun = time.monotonic()
        assert relay_gateway.ask(chat()).json() == FINE
        assert time.monotonic() - begun < AT_ONCE
        used = relay_gateway.cpu_seconds()
        time.sleep(0.2)
        assert relay_gateway.cpu_seconds() - used <= 0.05
        assert relay_gateway.peak_memory() - before < (clients + 1) * MIB
        for client in stalled:
            client.close()
        assert upstream.wait_for(ScriptedUpstream.is_quiet)


def test_C6_a_reader_that_stalls_for_too_long_is_cut(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    line = relay_gateway.mark_log()
    with upstream.playing(hose), relay_gateway.connect() as client:
        client.send(chat("brisk", "x-request-id: stalled"))
        client.read_head()
        assert ending_of(relay_gateway, "stalled", line) == "client_stalled"
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
        assert not client.read_to_end().endswith(b"0\r\n\r\n")


@pytest.mark.slow
def test_C6_a_reader_that_never_takes_the_end_of_its_answer_is_let_go(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    """The answer is over for the upstream, and its last bytes wait for a client: no longer than an idle one may."""
    client = small_window(strict_gateway)
    with upstream.playing(lambda visit: visit.answer(bytes(3 * MIB))):
        client.send(chat())
        assert upstream.wait_for(lambda upstream: bool(upstream.requests) and upstream.busy == 0)
        wait_until(lambda: strict_gateway.descriptors().clients == 0, "its connection is kept for ever")


def small_window(gateway: GatewayProcess) -> WireClient:
    """A client whose kernel holds little for it."""
    client = gateway.connect()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return client


def test_C7_a_reader_of_a_few_bytes_at_a_time_costs_no_cpu(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    with upstream.playing(hose), relay_gateway.connect() as client:
        client.send(chat())
        client.read_head()
        relay_gateway.wait_until_idle()
        used = relay_gateway.cpu_seconds()
        for _ in range(50):
            client.socket.recv(1)
            time.sleep(0.01)
        assert relay_gateway.cpu_seconds() - used <= 0.1
