"""Somebody who watches the status page and leaves, whenever that is, is no fault of the gateway's."""

from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request


def test_a_watcher_that_leaves_at_once_leaves_no_complaint(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """Some leave before the first event is written, some after. The log is looked at after each test."""
    for attempt in range(40):
        with gateway.connect() as client:
            client.send(request("/events", f"x-request-id: watcher-{attempt}", method="GET", host="localhost"))
            if attempt % 2:
                client.read_head()
    for attempt in range(40):
        gateway.log.wait_for(f'"watcher-{attempt}".*client_left')
