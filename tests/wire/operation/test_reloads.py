"""Table L: the configuration is read again and again while requests are under way."""

import signal
import threading

import pytest

from tests.harness import contract, scene
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, chat
from tests.harness.sockets.upstream_visit import fine
from tests.harness.sockets.wire_client import WireClient
from tests.wire.lifecycle.held_streams import HeldStreams, begin

pytestmark = pytest.mark.slow


def test_L8_a_hundred_reloads_cost_no_request_and_end_no_stream(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    text = scene.config(upstream.url)
    gateway = start_gateway(text)
    streams, stop, statuses = HeldStreams(), threading.Event(), []

    def ask_on_and_on() -> None:
        with WireClient(gateway.port) as client:
            while not stop.is_set():
                statuses.append(client.ask(chat()).status)

    with upstream.playing(streams):
        (streaming,) = begin(gateway, 1)
        removed = gateway.connect()
        removed.send(chat("bare", body=b"own\n\n"))
        removed.read_head()
        upstream.script = fine
        asking = threading.Thread(target=ask_on_and_on)
        asking.start()
        without = text.replace("  bare:", "  other-bare:")
        for number in range(100):
            changed = f"{without}  new-{number}: {{account: acme, upstream: '{upstream.url}', status: ready}}\n"
            gateway.config.write_text(changed)
            gateway.send_signal(signal.SIGHUP)
            if number % 10 == 9:
                wait_until_served(gateway, f"new-{number}")
        assert contract.NO_DEPLOYMENT.is_kept_by(gateway.ask(chat("bare")))
        stop.set()
        asking.join()
        streams.let_end.set()
        for client in (streaming, removed):
            assert client.read_to_last_chunk().endswith(DONE)
    assert set(statuses) == {200}
    assert len(statuses) > 50
    assert len(upstream.requests) >= len(statuses)


def wait_until_served(gateway: GatewayProcess, deployment: str) -> None:
    """Wait until a change of the configuration is in force."""
    wait_until(lambda: gateway.ask(chat(deployment)).status == 200)
