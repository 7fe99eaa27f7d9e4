"""Lets an event bypass the parser: from an upstream's socket to its client's, in the frame it came in.

A llama-server sends each event of a stream as one chunk (RFC 9112 7.1), and nearly all of them arrive alone, in one
read. As with `plain_request`: what is not plain is not an error, the parser reads it.

This is run for every token of every stream. It is a closure, compares slices and has them ready, because that is what
CPython does fastest: `self.write()`, `startswith()` and `endswith()` took a tenth of an event's instructions.
"""

import asyncio
from collections.abc import Callable

from gateway.core.answer.excerpt import ONE_EVENT, Excerpt

Passthrough = Callable[[bytes], None]
Frame = tuple[slice, bytes, int]

# Bytes of a read with its chunk's framing, so 58 to 4089 bytes of content: other chunks are rare.
_LEAST, _MOST = 64, 4096
_TAIL = slice(-2, None)
_NO_FRAME: Frame = (slice(0), b"none begins like this", 0)


def passthrough_to(client: asyncio.WriteTransport, excerpt: Excerpt, otherwise: Passthrough) -> Passthrough:
    """A function that passes its argument on to `client`, which is sent chunks, if that is exactly one chunk.

    Anything else goes to `otherwise`. A client that has just left is harmless: its transport drops
    what is written until the answer learns of it.
    """
    write, keep, time = client.write, excerpt.keep_chunks().append, asyncio.get_running_loop().time
    frames = _FRAMES

    def passes(data: bytes) -> None:
        head, line, event = frames[len(data)]
        if data[head] != line or data[_TAIL] != b"\r\n":
            otherwise(data)
            return
        write(data)
        keep(data)
        excerpt.passed += event
        excerpt.last_chunk_at = time()

    return passes


class _Frames(dict[int, Frame]):
    """By a chunk's size, frame included: where its first line is, what that must be; ONE_EVENT and its content's size.

    >>> _Frames()[64 + 6] == (slice(None, 4), b"40\\r\\n", ONE_EVENT + 64)
    True
    """

    def __missing__(self, size: int) -> Frame:
        if not _LEAST <= size <= _MOST:
            return _NO_FRAME
        self[size] = frame = _frame(size)
        return frame


def _frame(size: int) -> Frame:
    for content in (size - 6, size - 7):
        line = b"%x\r\n" % content
        if len(line) + content + 2 == size:
            return slice(len(line)), line, ONE_EVENT + content
    return _NO_FRAME


_FRAMES = _Frames()
