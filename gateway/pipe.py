"""The short way of an event: from an upstream's socket to its client's, in the frame it came in.

A llama-server sends each event of a stream as one chunk (RFC 9112 7.1), and nearly all of them arrive alone, in one
read. As with `plain_request`: what is not plain is no error, the parser reads it.

This is run for every token of every stream. It is a closure, and compares slices, because that is what CPython does
fastest: `self.write()`, `startswith()` and `endswith()` took a tenth of all that is done for an event.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache

from gateway.usage import Excerpt

Pipe = Callable[[bytes], bool]

# Smaller than any event, and larger than nearly all of them: only chunks in between are worth it.
_LEAST, _MOST = 64, 4096
_END = b"\r\n"


def pipe_to(client: asyncio.WriteTransport, excerpt: Excerpt) -> Pipe:
    """A function that passes on to `client`, which is sent chunks, the one chunk that its argument is.

    It returns False, and has done nothing, if that is anything else. A client that has just left costs nothing: its
    transport drops what is written until the answer is told.
    """
    write, keep, time = client.write, excerpt.chunks.append, asyncio.get_running_loop().time

    def passes(data: bytes) -> bool:
        beginning = _beginning(len(data))
        start = len(beginning)
        if not start or data[:start] != beginning or data[-2:] != _END:
            return False
        write(data)
        keep(data)
        excerpt.size += len(data) - start - 2
        excerpt.heard_at = time()
        return True

    return passes


@lru_cache(maxsize=_MOST)
def _beginning(size: int) -> bytes:
    """The one line with which a chunk of `size` bytes, frame included, can begin; empty if there is none.

    >>> _beginning(64 + 6)
    b'40\\r\\n'
    """
    if not _LEAST <= size <= _MOST:
        return b""
    lines = (b"%x\r\n" % (size - overhead) for overhead in range(6, 8))
    return next((line for line in lines if len(line) + int(line, 16) + len(_END) == size), b"")
