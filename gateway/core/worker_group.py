"""What a worker knows of the others: how many there are, and their counts.

Each worker publishes its counters in a file of its own: unnamed, in memory, and inherited by all of them. A second
one is its notice board: what it carries, while another wants to know, and what another is to end.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from zlib import crc32

from aiohttp import web

_HEADER = struct.Struct("<II")  # length and CRC-32 of what follows
_TRIES = 100  # a write takes microseconds; one that stays incomplete is the last of a worker that died


class WorkerGroup:
    """Worker `number`, from 0, of `size`, with one open file of counters, and one notice board, for each of them.

    `supervisor` and `arbiter` are the file descriptors of sockets to it: for its commands, and for the places at the
    upstreams, which it gives. A process that serves alone has none of these.
    """

    def __init__(
        self,
        number: int = 0,
        size: int = 1,
        counter_files: Sequence[int] = (),
        supervisor: int | None = None,
        boards: Sequence[int] = (),
        *,
        arbiter: int | None = None,
    ) -> None:
        self.number = number
        self.size = size
        self.supervisor = supervisor
        self.arbiter = arbiter
        self._counter_files = counter_files
        self._boards = boards

    def publish_counters(self, data: bytes) -> None:
        """Show the others `data` instead of what was published before."""
        _write(self._counter_files[self.number], data)

    def own_counters(self) -> bytes:
        """What a worker of this number published last, before it was started again; nothing at its first start."""
        return _read(self._counter_files[self.number]) if self._counter_files else b""

    def other_counters(self) -> Iterator[bytes]:
        """What the others published last; nothing of those that have published nothing."""
        return (_read(file) for number, file in enumerate(self._counter_files) if number != self.number)

    def publish_notices(self, data: bytes) -> None:
        """Put `data` on this worker's board, instead of what was there."""
        _write(self._boards[self.number], data)

    def other_notices(self) -> list[bytes]:
        """What is on the boards of the others; nothing of those that have put nothing there."""
        return [_read(file) for number, file in enumerate(self._boards) if number != self.number]


ALONE = WorkerGroup()
WORKER_GROUP = web.AppKey("worker_group", WorkerGroup)


def _write(file: int, data: bytes) -> None:
    os.pwrite(file, _HEADER.pack(len(data), crc32(data)) + data, 0)


def _read(file: int) -> bytes:
    for _ in range(_TRIES):
        header = os.pread(file, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            return b""
        length, checksum = _HEADER.unpack(header)
        data = os.pread(file, length, _HEADER.size)
        if crc32(data) == checksum:
            return data
    return b""
