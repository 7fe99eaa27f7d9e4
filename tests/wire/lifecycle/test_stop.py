"""Table L: what becomes of requests under way when a gateway is told to stop."""

import signal
import time

import pytest

from tests.harness import contract, scene
from tests.harness.patience import AT_ONCE
from tests.harness.processes.fleet import StartGateway
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.wire.lifecycle.held_streams import HeldStreams, begin

pytestmark = pytest.mark.slow


MIB = 1 << 20
SHUTTING_DOWN = b"The gateway is shutting down."


def test_L1_a_hundred_streams_finish_and_are_counted(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    streams = HeldStreams()
    with upstream.playing(streams):
        clients = begin(gateway, 100)
        gateway.send_signal(signal.SIGTERM)
        gateway.log.wait_for("stopping: 100 requests in progress, 30 s to finish")
        streams.let_end.set()
        for at, client in enumerate(clients):
            assert client.read_to_last_chunk() == b"%d\n\n" % at + DONE
        assert gateway.wait() == 0
    gateway.log.wait_for("stopped: 100 finished, 0 cut")


BEGUN = {
    "in line": (b"", False),
    "with a short upload": (chat("bare", body=b"x" * 1000 + b"\n\n"), False),
    "with a long upload that the upstream has not seen": (chat("bare", body=b"x" * 200_000 + b"\n\n"), False),
    "with a long upload that the upstream has seen": (chat("bare", body=b"x" * 4 * MIB + b"\n\n"), True),
}


@pytest.mark.parametrize(("upload", "seen"), BEGUN.values(), ids=BEGUN)
def test_L1_who_has_begun_otherwise_is_served_too(
    upstream: ScriptedUpstream, start_gateway: StartGateway, upload: bytes, seen: bool
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "limits: {connections: 1, waiting: 8}"))
    streams = HeldStreams()
    with upstream.playing(streams), gateway.connect() as client:
        (streaming,) = begin(gateway, 1)
        if upload:
            client.send(upload[: len(upload) // 2])
            gateway.wait_until_read(client)
            assert not seen or upstream.wait_for(lambda upstream: len(upstream.requests) == 2)
        else:
            client.send(chat(body=b"x\n\n"))
            gateway.wait_until_waiting(1, "demo")
        gateway.send_signal(signal.SIGTERM)
        gateway.log.wait_for("stopping: 2 requests in progress")
        streams.let_end.set()
        assert streaming.read_to_last_chunk().endswith(DONE)
        time.sleep(0.1)  # nothing else is under way now
        client.send(upload[len(upload) // 2 :])
        response = client.read_response()
        assert gateway.wait() == 0
    assert (response.status, response.whole) == (200, True)
    assert response.body.endswith(DONE)
    gateway.log.wait_for("stopped: 2 finished, 0 cut")


def test_L1_who_waits_in_line_when_the_drain_is_over_is_told_so(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    limits = "limits: {connections: 1, waiting: 8}, timeouts: {drain: 0.2}"
    gateway = start_gateway(scene.config(upstream.url, limits))
    with upstream.playing(HeldStreams()):
        (streaming,) = begin(gateway, 1)
        waiting = [gateway.connect() for _ in range(5)]
        for client in waiting:
            client.send(chat())
        gateway.wait_until_waiting(5, "demo")
        gateway.send_signal(signal.SIGTERM)
        assert SHUTTING_DOWN in streaming.read_to_end()
        for client in waiting:
            assert contract.DRAINING.is_kept_by(client.read_response())
        assert gateway.wait() == 0
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("drain", [0, 0.3])
def test_L2_streams_that_never_end_are_cut_visibly_when_the_drain_is_over(
    upstream: ScriptedUpstream, start_gateway: StartGateway, drain: float
) -> None:
    gateway = start_gateway(scene.config(upstream.url, f"timeouts: {{drain: {drain}}}"))

    def talk_for_ever(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        while True:
            visit.chunk(EVENT)
            time.sleep(0.01)

    with upstream.playing(talk_for_ever):
        clients = begin(gateway, 20)
        begun = time.monotonic()
        gateway.send_signal(signal.SIGTERM)
        for client in clients:
            rest = client.read_to_end()
            assert rest.count(SHUTTING_DOWN) == 1
            assert rest.endswith(b'"The gateway is shutting down."}}\n\n\r\n')
        assert gateway.wait() == 0
        assert drain <= time.monotonic() - begun < drain + AT_ONCE
    gateway.log.wait_for("stopped: 0 finished, 20 cut")
