"""Four clients, each a process, hammer one limit for a minute: exactly so many pass, and not one more."""

import subprocess
import sys
import time

import pytest

from tests.harness.processes.fleet import StartGateway
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.wire.limits.limited_keys import limited

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

_LIMIT = 500
_SECONDS = 55  # less than a minute, all processes' starts included
# Asks until a time of the clock that all processes share, over a connection for a hundred requests; prints how many
# were answered how.
_HAMMER = """
import collections, socket, sys, time
port, until, data = int(sys.argv[1]), float(sys.argv[2]), bytes.fromhex(sys.argv[3])
counts = collections.Counter()
while time.monotonic() < until:
    with socket.create_connection(("127.0.0.1", port)) as one:
        file = one.makefile("rb")
        for _ in range(100):
            one.sendall(data)
            head = iter(file.readline, b"\\r\\n")
            status = next(head).split()[1].decode()
            length = next(int(line.split(b":")[1]) for line in list(head) if line.lower().startswith(b"content-length"))
            file.read(length)
            counts[status] += 1
            if status == "429":
                time.sleep(0.02)
print(counts["200"], counts["429"], sum(counts.values()))
"""


def test_exactly_so_many_pass(
    start_gateway: StartGateway, upstream: ScriptedUpstream, counting: dict[str, str]
) -> None:
    gateway = start_gateway(limited(upstream.url, f"requests_per_minute: {_LIMIT}", "workers: 2"), (), counting)
    command = (sys.executable, "-c", _HAMMER, str(gateway.port), str(time.monotonic() + _SECONDS), chat("demo").hex())
    hammers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = [[int(number) for number in hammer.communicate()[0].split()] for hammer in hammers]
    passed, refused, asked = map(sum, zip(*told, strict=True))
    assert passed == _LIMIT
    assert refused == asked - passed > _LIMIT
    assert len(upstream.requests) == _LIMIT
