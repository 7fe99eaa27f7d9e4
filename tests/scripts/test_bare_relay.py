"""The floor of the benchmark carries what the benchmark sends, to the byte."""

import json
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.benchmark import targets
from scripts.benchmark.backend import PLAIN
from scripts.benchmark.process import Process
from scripts.benchmark.streams import Events
from scripts.benchmark.wire import connect, post

_BASE, _KEY = "/api/gguf/bench", "gw_benchmark"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a bare relay before a backend."""
    with targets.backend(tmp_path, None) as direct:
        options = ("--upstream", str(direct.port), "--base", _BASE, "--key", _KEY)
        relay = Process((sys.executable, "-m", "scripts.benchmark.bare_relay", *options), tmp_path / "relay.log")
        try:
            yield int(relay.wait_for(r"port (\d+)"))
        finally:
            relay.stop()


async def test_the_bare_relay_carries_answers_and_streams(port: int) -> None:
    wire = await connect(port)
    for _ in range(3):
        body: list[bytes] = []
        assert await wire.ask(post(f"{_BASE}/v1/embeddings", b"{}", _KEY), body.append) == 200
        assert b"".join(body) == PLAIN
    for _ in range(2):
        events = Events(array("d"))
        plan = json.dumps({"events": 20, "interval": 0.001}).encode()
        assert await wire.ask(post(f"{_BASE}/v1/chat/completions", plan, _KEY), events.feed) == 200
        assert events.is_whole
    wire.close()


@pytest.mark.parametrize("key", [None, "gw_other"])
async def test_the_bare_relay_refuses_another_key(port: int, key: str | None) -> None:
    wire = await connect(port)
    assert await wire.ask(post(f"{_BASE}/v1/embeddings", b"{}", key), lambda _: None) == 401
    wire.close()
