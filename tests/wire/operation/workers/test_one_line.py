"""Several workers, one line: the places at an upstream are as many as it has slots, whichever worker has them."""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.harness import contract, scene
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit, fine
from tests.harness.sockets.wire_client import Closed, WireClient
from tests.wire.limits.limited_keys import limited
from tests.wire.operation.workers.several_workers import CHAT, TWO, workers_of

pytestmark = pytest.mark.slow


class OneByOne:
    """A script that answers when it is let, and counts how many wait for that at a time."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(0)

    def __call__(self, visit: Visit) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        let = self._turns.acquire(timeout=PATIENCE)
        with self._lock:
            self._now -= 1
        if let:
            fine(visit)

    def let_go(self, number: int = 1) -> None:
        self._turns.release(number)


def _answer(client: WireClient) -> bytes:
    """What comes, if anything does before the connection is closed."""
    try:
        return client.read_some()
    except Closed:
        return b""


def _answered(clients: list[WireClient], number: int) -> list[WireClient]:
    """Those that are answered, once there are so many."""
    poll, found = select.poll(), dict[int, WireClient]()
    by_file = {client.socket.fileno(): client for client in clients}
    for file in by_file:
        poll.register(file, select.POLLIN)
    while len(found) < number and (ready := poll.poll(PATIENCE * 1000)):
        for file, _ in ready:
            poll.unregister(file)
            found[file] = by_file[file]
    assert len(found) == number
    return list(found.values())


def slots(number: int) -> bytes:
    body = b'{"total_slots":%d}' % number
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def ask(gateway: GatewayProcess, number: int) -> list[WireClient]:
    """So many requests, each on a connection of its own: they are shared out among the workers."""
    clients = [gateway.connect() for _ in range(number)]
    for client in clients:
        client.send(CHAT)
    return clients


@contextmanager
def line(
    upstream: ScriptedUpstream, start_gateway: StartGateway, places: int, number: int, server: str = TWO
) -> Iterator[tuple[OneByOne, GatewayProcess, list[WireClient]]]:
    """So many requests to two workers before a server with so many places, all of which are taken."""
    upstream.props, script = slots(places), OneByOne()
    with upstream.playing(script):
        gateway = start_gateway(scene.config(upstream.url, server))
        clients = ask(gateway, number)
        assert upstream.wait_for(lambda upstream: upstream.busy == places)
        yield script, gateway, clients


def test_all_workers_together_send_no_more_than_the_slots(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    with line(upstream, start_gateway, 2, 24) as (script, _, clients):
        for begun in range(3, 25):
            script.let_go()
            wait_until(lambda begun=begun: len(upstream.requests) == begun, what="a place was not given on")  # type: ignore[misc]
        script.let_go(2)
        assert [client.read_response().status for client in clients] == [200] * 24
    assert script.most == 2


def test_the_places_of_a_worker_that_dies_go_to_who_waits_in_another(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    with line(upstream, start_gateway, 4, 24) as (script, gateway, clients):
        start = gateway.mark_log()
        os.kill(workers_of(gateway)[0], signal.SIGKILL)
        gateway.log.wait_for("was ended by signal 9", start=start)
        wait_until(lambda: gateway.connections("demo", "in_use") == 4, what="the places of the dead are not given on")
        script.let_go(24)
        answered = sum(b" 200 OK" in _answer(client) for client in clients)
    assert 0 < answered < 24, "those of the worker that lives, and only those"
    assert script.most <= 8


def test_a_limit_on_who_waits_is_one_for_all_workers(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    with line(upstream, start_gateway, 1, 24, f"{TWO}, limits: {{waiting: 4}}") as (script, _, clients):
        refused = _answered(clients, 24 - 5)
        for client in refused:
            answer = client.read_response()
            assert contract.BUSY.is_kept_by(answer)
            assert answer.header("x-queue-position") == "5"
        script.let_go(5)
        waited = [client.read_response().status for client in clients if client not in refused]
    assert waited == [200] * 5
    assert script.most == 1


def test_who_is_limited_is_told_of_the_whole_line_by_each_worker(
    upstream: ScriptedUpstream, start_gateway: StartGateway, tmp_path: Path
) -> None:
    upstream.props, script = slots(1), OneByOne()
    with upstream.playing(script):
        environ = {"XDG_STATE_HOME": str(tmp_path)}
        gateway = start_gateway(limited(upstream.url, "concurrent_requests: 8", TWO), (), environ)
        clients = ask(gateway, 8)
        gateway.wait_until_waiting(7, "demo")
        refused = [client.read_response() for client in ask(gateway, 12)]
        assert {(answer.status, answer.header("x-queue-position")) for answer in refused} == {(429, "8")}
        script.let_go(8)
        assert [client.read_response().status for client in clients] == [200] * 8


def test_who_leaves_the_line_is_out_of_it_in_every_worker(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    with line(upstream, start_gateway, 1, 12) as (script, gateway, clients):
        for client in clients:
            client.close()
        wait_until(lambda: gateway.connections("demo", "waiting") == 0, what="some are in line still")
        later = gateway.connect()
        later.send(CHAT)
        script.let_go(12)
        assert later.read_response().status == 200


@pytest.mark.tools
def test_who_leaves_is_out_of_the_line_within_half_a_second(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    with line(upstream, start_gateway, 1, 60, f"{TWO}, log: {{format: json}}") as (script, gateway, clients):
        gateway.wait_until_waiting(59, "demo")
        for client in clients:
            start, left = gateway.mark_log(), datetime.now(UTC)
            client.close()
            (said,) = gateway.log.wait_for('"time":"([^"]*)".*"ending":"client_left"', start=start).groups()
            assert (datetime.fromisoformat(said).replace(tzinfo=UTC) - left).total_seconds() < 0.5
        script.let_go(60)
