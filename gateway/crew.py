"""What a worker knows of the others: how many there are, its own share of a limit, and their counts.

Each worker posts its counts into an unnamed file that all of them inherited; no one writes into another's.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from zlib import crc32

from aiohttp import web

from gateway.deployment import Limits

_HEADER = struct.Struct("<II")  # length and CRC-32 of what follows
_TRIES = 100  # a post is written within microseconds; one that stays incomplete is the last of a worker that died


class Crew:
    """Worker `number`, from 0, of `size`. `board` holds one open file for each of them; alone there is none."""

    def __init__(self, number: int = 0, size: int = 1, board: Sequence[int] = ()) -> None:
        self.number = number
        self.size = size
        self._board = board

    def share(self, whole: Limits) -> Limits:
        """This worker's part of an upstream's limits. The parts add up, but everyone has a connection."""
        return Limits(max(1, self._part(whole.connections)), self._part(whole.waiting))

    def post(self, data: bytes) -> None:
        """Show the others `data` instead of what was posted before."""
        os.pwrite(self._board[self.number], _HEADER.pack(len(data), crc32(data)) + data, 0)

    def own_post(self) -> bytes:
        """What a worker of this number posted last, before it was started again; nothing at its first start."""
        return _read(self._board[self.number]) if self._board else b""

    def other_posts(self) -> Iterator[bytes]:
        """What the others posted last; nothing of those that have posted nothing."""
        return (_read(file) for number, file in enumerate(self._board) if number != self.number)

    def _part(self, whole: int) -> int:
        return whole // self.size + (self.number < whole % self.size)


ALONE = Crew()
CREW = web.AppKey("crew", Crew)


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
