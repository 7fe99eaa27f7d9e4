"""What an answer costs, in processor time: other work on the machine changes it too, so the best of five counts."""

import http.client
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.patience import PATIENCE

_COMMAND = (sys.executable, "-m", "mockserver", "--port", "0")
_PLAIN = b'{"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16}'
_STREAM = b'{"messages": [], "stream": true, "ignore_eos": true, "max_tokens": 1000}'


def processor_seconds(process: int) -> float:
    """Those a process has used, from `/proc`, in steps of a hundredth."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost_of(requests: int, body: bytes, connection: http.client.HTTPConnection, pid: int) -> float:
    """Processor seconds for so many chat completions, one after the other."""
    before = processor_seconds(pid)
    for _ in range(requests):
        connection.request("POST", "/v1/chat/completions", body)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.read()
    return processor_seconds(pid) - before


@pytest.mark.slow  # says what this machine can do
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("body", "requests", "seconds"),
    [
        pytest.param(_PLAIN, 300, 0.3, id="1000 plain requests a second"),
        pytest.param(_STREAM, 1, 0.5, id="2000 streamed tokens a second"),
    ],
)
def test_one_core_is_enough_for(body: bytes, requests: int, seconds: float) -> None:
    with subprocess.Popen(_COMMAND, stdout=subprocess.PIPE, text=True) as mock:
        assert mock.stdout is not None
        line = next(line for line in iter(mock.stdout.readline, "") if "server is listening" in line)
        connection = http.client.HTTPConnection(line.split()[-1].removeprefix("http://"), timeout=PATIENCE)
        try:
            cost_of(1, body, connection, mock.pid)
            assert any(cost_of(requests, body, connection, mock.pid) < seconds for _ in range(5))
        finally:
            connection.close()
            mock.terminate()
