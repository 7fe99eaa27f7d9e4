"""A gateway that tells in its log which requests took the fast path, and what the tests of the two ways share.

A script that runs in its process before the command does wraps the one function that every such request passes, and
changes nothing else.
"""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.harness import scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Visit

BODY_BYTES = 100_000  # its limit

WITNESS = """
import sys
from gateway.server.fast_path import fast_path

_carry = fast_path.FastPath.carry


def carry(self, request, decision, client):
    carried = _carry(self, request, decision, client)
    if carried is fast_path.Begun.YES:
        print("witness: fast", request.head.request_id, file=sys.stderr, flush=True)
    return carried


fast_path.FastPath.carry = carry

from gateway.proxy import response_relay
from gateway.server import admission
from gateway.server.fast_path import demultiplexer


def hold(cls, name, transitions):
    # Complains, as no test overlooks, of a change of state that the table does not name.

    def change(self, attribute, value):
        before = getattr(self, name, value) if attribute == name else value
        if value is not before and value not in transitions[before]:
            print(f"Traceback: {cls.__name__} from {before} to {value}", file=sys.stderr, flush=True)
        object.__setattr__(self, attribute, value)

    cls.__setattr__ = change


hold(response_relay.ResponseRelay, "state", response_relay.TRANSITIONS)
hold(demultiplexer.Demultiplexer, "_state", demultiplexer.TRANSITIONS)

_admit = admission.Admission.admit


def admit(self, asked):
    print("witness: asked", asked.deployment_id, asked.endpoint.path, file=sys.stderr, flush=True)
    return _admit(self, asked)


admission.Admission.admit = admit
"""


def witnessed_config(upstream: str, timeouts: str = "{}") -> str:
    """The configuration of a witness: the scene's, with a small limit on bodies, and two deployments more."""
    further = f"""
  pair: {{account: acme, upstream: "{upstream}", status: ready, limits: {{connections: 2}}}}
  brisk: {{account: acme, upstream: "{upstream}", status: ready, timeouts: {{first_byte: 1.5, silence: 1.5}}}}
"""
    limits = f"limits: {{body_bytes: {BODY_BYTES}}}, timeouts: {timeouts}"
    return scene.config(upstream, f"log: {{format: json}}, {limits}") + further.lstrip("\n")


def warm(gateway: GatewayProcess, upstream: ScriptedUpstream, deployment: str = "demo", number: int = 1) -> int:
    """Leave so many new connections to the upstream idle, without which nothing is carried at once.

    Returns how many requests it has had so far.
    """
    meeting = threading.Barrier(number, timeout=PATIENCE)

    def meet(visit: Visit) -> None:
        visit.read_body()
        meeting.wait()
        visit.answer()

    with upstream.playing(lambda visit: visit.answer(b"old", "200 OK", b"Connection: close")):
        for _ in range(100):  # some have served so often that the next request may be their last
            if not gateway.connections(deployment, "idle"):
                break
            gateway.ask(chat(deployment))
        else:
            raise AssertionError("its old connections are still there")
    with upstream.playing(meet), ThreadPoolExecutor(number) as clients:
        assert all(answer.status == 200 for answer in clients.map(gateway.ask, [chat(deployment)] * number))
    assert upstream.wait_for(ScriptedUpstream.is_quiet)
    return len(upstream.requests)


def was_fast(gateway: GatewayProcess, name: str, start: int) -> bool:
    """Whether the request of this id took the fast path. Call once it is answered, or has its line."""
    gateway.log.wait_for(rf'"id": ?"{name}"', start=start)
    return f"witness: fast {name}\n" in gateway.log.since(start) + "\n"


def line_of(gateway: GatewayProcess, name: str, start: int) -> dict[str, Any]:
    """The line of a request in the log, without its id, times, and what comes of them."""
    pattern = rf'{{.*"id": ?"{name}".*}}'
    line: dict[str, Any] = json.loads(gateway.log.wait_for(pattern, start=start)[0])
    assert len(re.findall(pattern, gateway.log.since(start))) == 1, "a request has one line"
    return {name: value for name, value in line.items() if name not in _DIFFER}


_DIFFER = {"time", "id", "first_byte_ms", "total_ms", "tokens_per_second"}


def echo(visit: Visit) -> None:
    """A script: say what was said."""
    visit.answer(visit.read_body())


class Held:
    """A script that echoes in chunks, the last of which comes when it is let."""

    def __init__(self) -> None:
        self.let_end = threading.Event()

    def __call__(self, visit: Visit) -> None:
        body = visit.read_body()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        visit.chunk(body)
        deadline = time.monotonic() + PATIENCE
        while not self.let_end.is_set():
            assert time.monotonic() < deadline, "nobody let it end"
            if visit.wait_until_left(0.02):
                return
        visit.chunk(b"")
