"""The one line in which the heads that a peer sends differ from each other."""

# As it is spelled by what sends many: SDKs, llama-server, nginx. A head that spells it otherwise is read another way.
_SPELLINGS = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")


def split_at_length(head: bytes) -> tuple[bytes, bytes | None, bytes]:
    """What stands before the line of a head that says its `Content-Length`, what that says, and what stands behind it.

    None, and nothing behind, if no line is spelled as usual.

    >>> split_at_length(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nServer: x")
    (b'HTTP/1.1 200 OK', b'5', b'Server: x')
    """
    for spelling in _SPELLINGS:
        before, found, rest = head.partition(spelling)
        if found:
            length, _, behind = rest.partition(b"\r\n")
            return before, length, behind
    return head, None, b""
