"""Table U: how long an answer may keep its client waiting."""

import time

import pytest

from tests.harness import contract
from tests.harness.patience import AT_ONCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import BRISK, DONE, STEADY, chat
from tests.harness.sockets.upstream_visit import Visit


def test_U7_a_first_byte_that_does_not_come_in_time_is_a_504(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    left = []

    def hang(visit: Visit) -> None:
        visit.read_body()
        left.append(visit.wait_until_left())

    begun = time.monotonic()
    with upstream.playing(hang):
        assert contract.TIMED_OUT.is_kept_by(relay_gateway.ask(chat("brisk")))
        took = time.monotonic() - begun
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
    assert BRISK <= took < AT_ONCE
    assert left == [True]
    assert len(upstream.requests) == 1


@pytest.mark.slow
@pytest.mark.parametrize("piece", [b"w", b":\n\n"], ids=["U8 a byte at a time", "U9 pings"])
def test_a_stream_lasts_as_long_as_it_likes_if_its_pauses_are_short(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, piece: bytes
) -> None:
    def drip(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        for _ in range(5):
            visit.chunk(piece)
            time.sleep(STEADY / 4)
        visit.chunk(b"\n\n" + DONE)
        visit.chunk(b"")

    with upstream.playing(drip):
        response = relay_gateway.ask(chat("steady"))
    assert response.whole
    assert response.pieces == (*(piece,) * 5, b"\n\n" + DONE)
