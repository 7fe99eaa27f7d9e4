"""A chunk of a body that has come whole, in one read: how a llama-server sends each event of a stream.

RFC 9112 7.1. Such a chunk can be passed on as it is, frame and all, to a client that knows chunks. As with
`plain_request`: what is not plain is no error, the parser reads it.
"""

from functools import lru_cache

# Smaller than any event, and larger than nearly all of them: only chunks in between are worth it.
_LEAST, _MOST = 64, 4096
_END = b"\r\n"


def whole_chunk(data: bytes) -> int:
    """Where the content begins, two bytes before the end it ends, if `data` is one chunk in its frame; 0 if it is not.

    >>> chunk = b"40\\r\\n" + 64 * b"x" + b"\\r\\n"
    >>> whole_chunk(chunk)
    4
    >>> whole_chunk(chunk + b"0\\r\\n\\r\\n")
    0
    """
    beginning = _beginning(len(data))
    return len(beginning) if beginning and data.startswith(beginning) and data.endswith(_END) else 0


@lru_cache(maxsize=_MOST)
def _beginning(size: int) -> bytes:
    """The one line with which a chunk of `size` bytes, frame included, can begin; nothing if there is none."""
    if not _LEAST <= size <= _MOST:
        return b""
    lines = (b"%x\r\n" % (size - overhead) for overhead in range(6, 8))
    return next((line for line in lines if len(line) + int(line, 16) + len(_END) == size), b"")
