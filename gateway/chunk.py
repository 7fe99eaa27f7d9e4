"""A chunk of a body that has come whole, in one read: how a llama-server sends each event of a stream.

RFC 9112 7.1. As with `plain_request`: what is not plain is no error, the parser reads it.
"""

import re

_SIZE = re.compile(rb"([1-9a-f][0-9a-f]{0,6})\r\n").match


def whole_chunk(data: bytes) -> bytes | None:
    """What is in the chunk that `data` is; None if it is anything else, less, or more.

    >>> whole_chunk(b"5\\r\\nhello\\r\\n")
    b'hello'
    >>> whole_chunk(b"0\\r\\n\\r\\n")
    """
    size = _SIZE(data)
    if size is None:
        return None
    begin = size.end()
    end = begin + int(size[1], 16)
    return data[begin:end] if len(data) == end + 2 and data.endswith(b"\r\n") else None
