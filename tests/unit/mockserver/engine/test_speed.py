"""What an answer costs, in processor time, as a multiple of what a bare aiohttp application costs in the same run.

Other work on the machine makes both slower, so no figure here depends on how fast the machine is.
"""

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.patience import PATIENCE

_MOCK = (sys.executable, "-m", "mockserver", "--port", "0")
_BARE = (sys.executable, "-m", "tests.unit.mockserver.engine.bare_application")
_PLAIN = b'{"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16}'
_STREAM = b'{"messages": [], "stream": true, "ignore_eos": true, "max_tokens": 1000}'
_ROUNDS = 3


class _Server:
    """A server in a process of its own, and one connection to it."""

    def __init__(self, url: str, pid: int) -> None:
        self._pid = pid
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)

    def cost_of(self, requests: int, body: bytes) -> float:
        """Processor seconds for so many chat completions, one after the other."""
        before = self._processor_seconds()
        for _ in range(requests):
            self.connection.request("POST", "/v1/chat/completions", body)
            answer = self.connection.getresponse()
            assert answer.status == 200
            assert answer.read()
            if answer.chunked:  # behind a stream the mock closes, as llama-server does, and does not say so
                self.connection.close()
        return self._processor_seconds() - before

    def _processor_seconds(self) -> float:
        """Those that the process has used, from `/proc`, in steps of a hundredth."""
        fields = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _server(command: tuple[str, ...]) -> Iterator[_Server]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in iter(process.stdout.readline, "") if "server is listening" in line)
        server = _Server(line.split()[-1], process.pid)
        try:
            yield server
        finally:
            server.connection.close()
            process.terminate()


@pytest.mark.slow  # says what this machine can do
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("body", "requests", "most"),
    [pytest.param(_PLAIN, 1000, 8, id="a plain answer"), pytest.param(_STREAM, 6, 8, id="a stream")],
)
def test_an_answer_costs_few_times_what_aiohttp_costs(body: bytes, requests: int, most: float) -> None:
    with _server(_MOCK) as mock, _server(_BARE) as bare:
        for server in (mock, bare):
            server.cost_of(1, body)
        costs = [(mock.cost_of(requests, body), bare.cost_of(requests, body)) for _ in range(_ROUNDS)]
        assert min(cost for cost, _ in costs) < most * min(cost for _, cost in costs)
