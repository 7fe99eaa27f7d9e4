"""Streams whose events come one by one, long enough to take the short way, `gateway/proxy/upstream/passthrough.py`."""

import json
import threading
import time

import pytest

from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.events_one_by_one import CUT, PING, OneByOne, events
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, STEADY, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Closed

USAGE = b'data: {"choices":[],"usage":{"completion_tokens":60,"prompt_tokens":7}}\n\n'
DONE_LATE = b":".ljust(55, b"-") + b"\n" + DONE  # as long as an event: not one that the parser reads for its length


def _finish(visit: Visit) -> None:
    visit.chunk(b"")


def test_every_event_comes_as_it_was_sent_and_is_accounted_for(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    told, start = OneByOne([*events(60), USAGE, DONE_LATE], _finish), relay_gateway.mark_log()
    with upstream.playing(told), relay_gateway.connect() as client:
        client.send(chat("demo", "x-request-id: one-by-one"))
        assert list(told.heard_by(client)) == told.events
        assert client.read_chunk() == b""
    line = json.loads(relay_gateway.log.wait_for(r'\{.*"id":"one-by-one".*\}', start=start)[0])
    assert line["bytes_out"] == sum(map(len, told.events))
    assert (line["tokens_in"], line["tokens_out"], line["ending"]) == (7, 60, "finished")


@pytest.mark.parametrize("rest", [b"", b'data: {"choices":[{"delta":{"content":"half' + b" of it" * 20])
def test_a_cut_is_shown(relay_gateway: GatewayProcess, upstream: ScriptedUpstream, rest: bytes) -> None:
    told = OneByOne([*events(60), *filter(None, [rest])], Visit.close)
    with upstream.playing(told), relay_gateway.connect() as client:
        client.send(chat())
        assert list(told.heard_by(client)) == told.events
        assert client.read_chunk() == (b"\n\n" if rest else b"") + CUT
        with pytest.raises(Closed):
            client.read_chunk()


@pytest.mark.slow
def test_silence_is_counted_from_the_last_event(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    told = OneByOne(events(60), lambda visit: visit.wait_until_left())
    with upstream.playing(told), relay_gateway.connect() as client:
        client.send(chat("steady"))
        for event in told.heard_by(client):
            last, heard = event, time.monotonic()
            time.sleep(STEADY / 40)  # all in all, longer than the stream may be silent
        assert last == told.events[-1]
        assert b"fell silent" in client.read_chunk()
        assert time.monotonic() - heard > STEADY * 0.8


def test_a_ping_fills_a_silence_and_does_not_disturb_events(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    def fall_silent(visit: Visit) -> None:
        assert pinged.wait(PATIENCE)
        _finish(visit)

    pinged = threading.Event()

    told = OneByOne([*events(60), DONE_LATE], fall_silent)
    with upstream.playing(told), relay_gateway.connect() as client:
        client.send(chat("pinged"))
        assert list(told.heard_by(client, is_pinged=True)) == told.events
        ping = client.read_chunk()
        pinged.set()
        assert {ping, *iter(client.read_chunk, b"")} == {PING}


def test_the_upstream_is_let_go_when_the_client_leaves(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    told = OneByOne(events(60), lambda visit: visit.wait_until_left())
    with upstream.playing(told), relay_gateway.connect() as client:
        client.send(chat())
        assert list(told.heard_by(client)) == told.events
        client.reset()
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
