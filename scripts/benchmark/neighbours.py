"""What one client does to the others: a pinger asks on, while another reads nothing or sends much."""

import hashlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, sleep

from scripts.benchmark.backend import PLAIN
from scripts.benchmark.figures import Summary
from scripts.benchmark.targets import Target

MIB = 1024 * 1024
_PING_SECONDS = 0.01
_BULK = "/v1/completions"


class Wrong(Exception):
    """An answer was not what it must be."""


class Pinger:
    """Asks every 10 ms on a connection of its own. An answer's time counts from when it was due to be asked for."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ping)
        self.each: list[tuple[float, float]] = []  # when each was due, in the monotonic clock, and its seconds
        self._error: Exception | None = None

    @classmethod
    @contextmanager
    def beside(cls, target: Target) -> Iterator["Pinger"]:
        """Ping while the block runs. Raises what went wrong with a ping, once the block is over."""
        pinger = cls(target)
        pinger._thread.start()
        try:
            yield pinger
        finally:
            pinger._over.set()
            pinger._thread.join()
        if pinger._error is not None:
            raise pinger._error

    @property
    def times(self) -> Summary:
        """How long the answers took, in seconds."""
        return Summary.of([seconds for _, seconds in self.each])

    def _ping(self) -> None:
        try:
            self._ping_on()
        except (Wrong, OSError, http.client.HTTPException) as error:
            self._error = error

    def _ping_on(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._target.port)
        due = monotonic()
        while not self._over.is_set():
            sleep(max(0.0, due - monotonic()))
            if ask(connection, self._target, "/v1/embeddings", b"{}") != PLAIN:
                raise Wrong("a ping was answered with something else")
            self.each.append((due, monotonic() - due))
            due += _PING_SECONDS
        connection.close()


def ask(connection: http.client.HTTPConnection, target: Target, path: str, body: bytes) -> bytes:
    """The body of a 200. Raises Wrong for anything else."""
    headers = {"Content-Type": "application/json"}
    if target.key is not None:
        headers["Authorization"] = f"Bearer {target.key}"
    connection.request("POST", target.base + path, body, headers)
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise Wrong(f"status {response.status}: {answer[:200]!r}")
    return answer


@dataclass(frozen=True)
class SlowReaders:
    """What clients cost that read nothing of their answers for a while: bytes of memory each, and the others' time."""

    memory: float
    pings: Summary


def slow_readers(target: Target, number: int, size: int, seconds: float) -> SlowReaders:
    """So many read nothing of `size` bytes for so long, then everything. Raises Wrong if that is not what was sent."""
    _read_bulk(_ask_for_bulk(target, MIB), MIB)  # what the first long answer needs once is not these readers'
    process = target.measured
    process.forget_peak()
    before = process.memory()
    with Pinger.beside(target) as pinger:
        readers = [_ask_for_bulk(target, size) for _ in range(number)]
        sleep(seconds)
        peak = process.peak_memory()
        for reader in readers:
            _read_bulk(reader, size)
    return SlowReaders((peak - before) / number, pinger.times)


def _ask_for_bulk(target: Target, size: int) -> http.client.HTTPResponse:
    """Ask for a long body, and read its head only."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    connection.connect()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    headers = {"Connection": "close"} | ({} if target.key is None else {"Authorization": f"Bearer {target.key}"})
    connection.request("POST", target.base + _BULK, json.dumps({"bytes": size}), headers)
    return connection.getresponse()


def _read_bulk(response: http.client.HTTPResponse, size: int) -> None:
    seen, left = hashlib.sha256(), size
    while left:
        piece = response.read(min(left, MIB))
        if not piece:
            raise Wrong("a long body ended early")
        seen.update(piece)
        left -= len(piece)
    if response.read() != seen.digest():
        raise Wrong("a long body is not what was sent")
    response.close()


def large_bodies(target: Target, size: int, times: int) -> Summary:
    """Send bodies of so many bytes one after the other; how long a pinger's answers took meanwhile."""
    body = bytes(range(256)) * (size // 256)
    fine = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    with Pinger.beside(target) as pinger:
        for _ in range(times):
            if json.loads(ask(connection, target, "/v1/rerank", body)) != fine:
                raise Wrong("a large body did not arrive as it was sent")
    connection.close()
    return pinger.times
