"""The mocks of the sandbox are processes whose output it reads."""

import asyncio
import logging
import sys
import urllib.request
from pathlib import Path

import pytest

from gateway.cli.sandbox.mock_process import MockProcess
from tests.harness.patience import PATIENCE

CHATTY = """
import sys
print("main: server is listening on http://127.0.0.1:9", flush=True)
sys.stderr.write("x" * 300_000 + "\\n")
for number in range(5000):
    print("an error", number, file=sys.stderr)
    print("a line of output", number)
sys.stdout.flush()
open(sys.argv[2], "w").close()
"""


async def test_a_mock_may_talk_without_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It would stand still with its first 64 KiB that nobody reads; what it says as an error is logged."""
    done = tmp_path / "done"
    mock = MockProcess("demo", [str(done)], (sys.executable, "-c", CHATTY))
    with caplog.at_level(logging.WARNING, "gateway.sandbox"):
        await mock.start()
        async with asyncio.timeout(PATIENCE):
            while not done.exists():
                await asyncio.sleep(0.02)
        await mock.stop()
    assert caplog.messages[-1] == "the mock of demo: an error 4999"


async def test_variables_of_ones_own_llama_server_are_not_for_the_mock(monkeypatch: pytest.MonkeyPatch) -> None:
    """With that key the gateway would be refused, and with that host anybody could drive the mock."""
    monkeypatch.setenv("LLAMA_API_KEY", "mine")
    monkeypatch.setenv("LLAMA_ARG_HOST", "0.0.0.0")
    mock = MockProcess("demo", [])
    await mock.start()
    try:
        assert mock.control_url.startswith("http://127.0.0.1:")
        with await asyncio.to_thread(urllib.request.urlopen, f"{mock.url}/v1/models", timeout=PATIENCE) as answer:
            assert answer.status == 200
    finally:
        await mock.stop()
