"""Table C: requests one after the other on a connection, and connections by the thousand."""

import json
import random
import threading
import time

import pytest

from tests.harness import contract, scene
from tests.harness.patience import AT_ONCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient, request

MIB = 1 << 20
FINE = {"object": "fine"}


# --- C8, C9: one connection after the other


def test_C8_pipelined_requests_are_answered_in_turn_each_by_its_own_key(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    kinds = {
        "good": (chat(), 200),
        "good, the long way": (chat("demo", "TE: x"), 200),
        "cut": (chat(body=b"cut"), 502),
        "bad key": (chat(key="gw_bad"), 401),
        "foreign": (chat("foreign"), 404),
        "paused": (chat("paused"), 503),
        "no key": (request("/healthz", method="GET"), 200),
    }

    def answer(visit: Visit) -> None:
        if visit.read_body() == b"cut":
            visit.close()
        else:
            visit.answer(visit.received.body)

    names = random.Random(8).choices(list(kinds), k=100)
    with upstream.playing(answer), relay_gateway.connect() as client:
        batch = b"".join(
            kinds[name][0].replace(b"\r\n", b"\r\nx-request-id: %d\r\n" % number, 1)
            for number, name in enumerate(names)
        )
        sending = threading.Thread(target=client.send, args=(batch,))
        sending.start()
        answers = [client.read_response() for _ in names]
        sending.join()
    assert [answer.header("x-request-id") for answer in answers] == [str(number) for number in range(100)]
    assert [answer.status for answer in answers] == [kinds[name][1] for name in names]
    assert len(upstream.requests) == sum(names.count(name) for name in ("good", "good, the long way", "cut"))


@pytest.mark.slow
def test_C9_nothing_is_carried_over_from_one_request_to_the_next(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    with relay_gateway.connect() as client:
        assert contract.BAD_KEY.is_kept_by(client.ask(chat(key="gw_bad")))
        assert client.ask(chat()).json() == FINE
        assert contract.BAD_KEY.is_kept_by(client.ask(chat(key=None)))
        assert contract.NO_DEPLOYMENT.is_kept_by(client.ask(chat(key=scene.TWIN_KEY)))
        assert client.ask(chat("foreign", key=scene.TWIN_KEY)).json() == FINE
        assert client.ask(chat("bare")).json() == FINE
        assert client.ask(chat("demo")).json() == FINE
    keys = [received.values("Authorization") for received in upstream.requests]
    assert keys == [[f"Bearer {scene.UPSTREAM_KEY}"], [], [], [f"Bearer {scene.UPSTREAM_KEY}"]]


def test_C9_every_request_of_a_connection_has_a_line_of_its_own(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    line = relay_gateway.mark_log()
    with relay_gateway.connect() as client:
        for number in range(5):
            client.ask(chat("demo" if number % 2 else "bare", f"x-request-id: line-{number}"))
    relay_gateway.log.wait_for("line-4", start=line)
    lines = [json.loads(text) for text in relay_gateway.log.lines[line:] if "line-" in text]
    assert [(seen["id"], seen["deployment"]) for seen in lines] == [
        (f"line-{number}", "demo" if number % 2 else "bare") for number in range(5)
    ]


# --- C10 to C12: many


@pytest.mark.slow
def test_C10_a_thousand_idle_connections_cost_little_and_slow_nobody(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    ping = request("/healthz", method="GET")
    relay_gateway.ask(ping)
    before = relay_gateway.memory()
    idle = [relay_gateway.connect() for _ in range(1000)]
    for client in idle:
        assert client.ask(ping).status == 200
    each = (relay_gateway.memory() - before) / len(idle)
    used = relay_gateway.cpu_seconds()
    begun = time.monotonic()
    assert relay_gateway.ask(chat()).json() == FINE
    assert time.monotonic() - begun < AT_ONCE
    time.sleep(0.3)
    assert relay_gateway.cpu_seconds() - used <= 0.05
    assert each <= 24 << 10


def test_C10_C11_idle_clients_and_unfinished_heads_are_let_go(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    """There, an idle connection is kept for a second."""
    idle = [strict_gateway.connect() for _ in range(50)]
    for client in idle[:25]:
        assert client.ask(request("/healthz", method="GET")).status == 200
    slow = [strict_gateway.connect() for _ in range(150)]
    head = chat()[:100]
    for client in slow:
        client.send(head[:20])
    begun = time.monotonic()
    for number in range(20, 60):
        if time.monotonic() - begun > 1.6:
            break
        for client in slow[:20]:
            client.send(head[number : number + 1])
        assert strict_gateway.ask(chat()).json() == FINE
        time.sleep(0.05)
    for client in idle + slow:
        assert client.is_closed() or b"HTTP/1.1 400" in client.received or b"HTTP/1.1 408" in client.received
    assert time.monotonic() - begun < AT_ONCE


def test_C12_connections_that_come_and_go_leave_nothing_and_write_nothing(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    relay_gateway.ask(request("/healthz", "x-request-id: before-churn", method="GET"))
    line = relay_gateway.log.lines.index(relay_gateway.log.wait_for(".*before-churn.*").string)
    memory = relay_gateway.memory()
    for number in range(600):
        client = WireClient(relay_gateway.port)
        if number % 3 == 0:
            client.send(b"GET /he")
        if number % 2:
            client.reset()
        else:
            client.close()
    relay_gateway.ask(request("/healthz", "x-request-id: after-churn", method="GET"))
    relay_gateway.log.wait_for("after-churn", start=line)
    written = [one for one in relay_gateway.log.lines[line:] if '"gateway.readiness"' not in one]  # probes may be late
    assert len(written) < 10
    assert relay_gateway.memory() - memory < 6 * MIB  # 10 KiB for each
