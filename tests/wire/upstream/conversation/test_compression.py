"""Table U: compressed answers pass unopened."""

import gzip
import threading

import pytest

from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Visit

MIB = 1 << 20
ZEROS = gzip.compress(bytes(50 * MIB), mtime=0)


def test_U21_a_bomb_passes_unopened(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    before = relay_gateway.memory()
    relay_gateway.forget_peak()
    with upstream.playing(lambda visit: visit.answer(ZEROS, "200 OK", b"Content-Encoding: gzip")):
        response = relay_gateway.ask(chat())
    assert response.body == ZEROS
    assert response.header("Content-Encoding") == "gzip"
    assert relay_gateway.peak_memory() - before < 5 * MIB


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd"])
def test_U21_a_compressed_stream_passes_piece_by_piece(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, coding: bytes
) -> None:
    seen = threading.Semaphore(0)

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream(b"Content-Encoding: " + coding)
        for number in range(5):
            visit.chunk(b"\x1f\x8b\x08%d" % number)
            assert seen.acquire(timeout=PATIENCE)
        visit.chunk(b"")

    with upstream.playing(script), relay_gateway.connect() as client:
        client.send(chat())
        assert b"Content-Encoding: " + coding in client.read_head()
        for number in range(5):
            assert client.read_some() == b"4\r\n\x1f\x8b\x08%d\r\n" % number
            seen.release()
        assert client.read_to_last_chunk() == b""
