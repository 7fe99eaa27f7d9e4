"""Table L: few descriptors, little memory."""

import random
import resource
import signal
import threading
import time
from collections import Counter

import pytest

from tests.harness import scene
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, chat
from tests.harness.sockets.wire_client import Closed, WireClient
from tests.wire.lifecycle.held_streams import HeldStreams, begin

pytestmark = pytest.mark.slow


MIB = 1 << 20
FINE = {"object": "fine"}


def test_L18_few_descriptors_refuse_some_and_it_recovers_by_itself(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url), prefix=("prlimit", "--nofile=64"))
    line = gateway.mark_log()
    many = []
    for _ in range(200):
        client = WireClient(gateway.port, 0.5)
        client.send(chat())
        many.append(client)
    used = gateway.cpu_seconds()
    time.sleep(0.3)
    assert gateway.cpu_seconds() - used < 0.25, "it spins"
    for client in many:
        client.close()
    wait_until(lambda: _is_answered(gateway))
    assert gateway.ask(chat()).json() == FINE
    assert gateway.log.since(line).count("cannot accept new connections") <= 1


def test_L18_without_descriptors_it_stops_without_complaint(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    """asyncio begins to accept again a second later, whether or not the listener is still there."""
    limits = "timeouts: {drain: 1.5}"
    gateway = start_gateway(scene.config(upstream.url, limits), prefix=("prlimit", "--nofile=64"))
    streams = HeldStreams()
    with upstream.playing(streams):
        (streaming,) = begin(gateway, 1)
        many = [WireClient(gateway.port, 0.5) for _ in range(100)]
        for client in many:
            client.send(chat()[:-1])  # idle ones would give way
        wait_until(lambda: gateway.count_descriptors() >= 63)
        gateway.send_signal(signal.SIGTERM)
        gateway.log.wait_for("stopping")
        assert b"shutting down" in streaming.read_to_end()
        assert gateway.wait() == 0
    for client in many:
        client.close()


def _is_answered(gateway: GatewayProcess) -> bool:
    try:
        with WireClient(gateway.port, 10) as client:
            return client.ask(chat()).status == 200
    except (OSError, Closed):
        return False


def test_L19_five_hundred_streams_live_in_little_memory(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "limits: {connections: 1000}"))
    streams = HeldStreams()
    gateway.ask(chat())
    before = gateway.memory()
    with upstream.playing(streams):
        clients = begin(gateway, 500)
        assert gateway.memory() - before < 500 * 64 * 1024
        assert gateway.memory() < 256 * MIB
        streams.let_end.set()
        for client in clients:
            assert client.read_to_last_chunk().endswith(DONE)


@pytest.mark.slow
def test_L19_out_of_memory_it_passes_no_half_answer_for_a_whole_one(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    """A limit on its data stands in for a cgroup's, which needs rights: there the kernel would just kill it."""
    gateway = start_gateway(scene.config(upstream.url), serves=False).wait_until_serving()
    assert gateway.ask(chat()).json() == FINE
    resource.prlimit(gateway.pid, resource.RLIMIT_DATA, (gateway.data() + 8 * MIB, resource.RLIM_INFINITY))
    body = random.Random(1).randbytes(2 * MIB)
    outcomes: Counter[str] = Counter()

    def ask() -> None:
        try:
            with WireClient(gateway.port, 20) as client:
                client.send(chat(body=body))
                time.sleep(0.3)  # all of them want memory at once
                response = client.read_response()
        except (Closed, TimeoutError, OSError) as error:
            outcomes[type(error).__name__] += 1
            return
        whole = response.status == 200 and response.whole
        outcomes["whole" if whole and response.body == body else "wrong" if whole else "failed"] += 1

    with upstream.playing(lambda visit: visit.answer(visit.read_body())):
        asking = [threading.Thread(target=ask) for _ in range(60)]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
    assert outcomes["wrong"] == 0
    if gateway.is_alive:
        resource.prlimit(gateway.pid, resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert gateway.ask(chat()).json() == FINE
    assert "MemoryError" in gateway.log.since(0) or not gateway.is_alive, outcomes
    gateway.stop(signal.SIGKILL)
