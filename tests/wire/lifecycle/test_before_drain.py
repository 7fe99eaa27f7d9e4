"""Told to stop, the gateway lets load balancers know before it closes its port: `timeouts.before_drain`."""

import signal

import pytest

from tests.harness import contract, scene
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import request

READYZ = request("/readyz", method="GET")


def is_refused(gateway: GatewayProcess) -> bool:
    """Whether it accepts no connection any more."""
    try:
        gateway.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def begin_to_stop(gateway: GatewayProcess) -> None:
    gateway.send_signal(signal.SIGTERM)
    gateway.log.wait_for("stopping in ")
    wait_until(lambda: gateway.ask(READYZ).status == 503)  # with several workers, one may be later than the other


@pytest.mark.parametrize("workers", [1, 2])
def test_it_is_not_ready_and_serves_whoever_comes(
    start_gateway: StartGateway, upstream: ScriptedUpstream, workers: int
) -> None:
    config = scene.config(upstream.url, f"timeouts: {{before_drain: {PATIENCE}, drain: 0}}, workers: {workers}")
    gateway = start_gateway(config)
    with gateway.connect() as early:
        assert early.ask(READYZ).status == 200
        begin_to_stop(gateway)
        assert gateway.ask(READYZ).json() == {"status": "draining"}
        assert gateway.ask(request("/healthz", method="GET")).status == 200
        for _ in range(10):
            assert gateway.ask(chat()).status == 200
            assert early.ask(chat()).status == 200  # and the connection is kept for the next
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait() == 0


def test_when_that_time_is_over_the_port_closes_and_it_drains(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "timeouts: {before_drain: 0.5, drain: 0}"))
    begin_to_stop(gateway)
    wait_until(lambda: is_refused(gateway))
    assert gateway.wait() == 0
    log = gateway.log.since(0)
    assert log.index("stopping in 0.5 s: /readyz says 503") < log.index("stopping: 0 requests in progress")


def test_without_it_nothing_new_is_accepted_from_the_first_signal_on(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "timeouts: {drain: 100}"))
    with gateway.connect() as client:
        client.send(chat("demo", "Content-Length: 1000", body=None) + b"x" * 10)
        gateway.wait_until_read(client)
        gateway.send_signal(signal.SIGTERM)
        gateway.log.wait_for("stopping: 1 request in progress")
        assert is_refused(gateway)
    assert gateway.wait() == 0
    assert "stopping in" not in gateway.log.since(0)


def test_a_second_signal_ends_the_wait_and_cuts(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(scene.config(upstream.url, f"timeouts: {{before_drain: {PATIENCE}, drain: {PATIENCE}}}"))
    with gateway.connect() as client:
        client.send(chat("demo", "Content-Length: 1000", body=None) + b"x" * 10)
        gateway.wait_until_read(client)
        begin_to_stop(gateway)
        gateway.send_signal(signal.SIGTERM)
        assert contract.DRAINING.is_kept_by(client.read_response())
    assert gateway.wait() == 0
