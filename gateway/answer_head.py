"""The head of an upstream's answer: its status, its headers, and the one way in which its body is framed.

Framing follows RFC 9112 6 to the letter: what is ambiguous is an error, never a guess.
"""

from dataclasses import dataclass


class UpstreamError(Exception):
    """The model server cannot be reached, broke off, or did not speak valid HTTP. For the operator's eyes only."""


@dataclass(slots=True)
class Head:
    """Status and headers of an answer, names in lower case. `chunked` or `length` frame its body.

    Neither: it ends with the connection.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    length: int | None
    chunked: bool
    keep_alive: bool

    def get(self, name: bytes) -> bytes:
        """The first value of a header given in lower case; empty if there is none."""
        return next((value for key, value in self.headers if key == name), b"")


def checked_head(status: int, version: str, headers: list[tuple[bytes, bytes]]) -> Head:
    """The head, if its framing is unambiguous. Raises UpstreamError."""
    said: dict[bytes, list[bytes]] = {b"content-length": [], b"transfer-encoding": [], b"connection": []}
    for name, value in headers:
        if name in said:
            said[name].append(value)
    lengths, codings, options = said.values()
    if version not in {"1.0", "1.1"}:
        raise UpstreamError(f"HTTP version {version}")
    if not 200 <= status <= 599:
        raise UpstreamError(f"status {status}")
    if len(lengths) + len(codings) > 1:
        raise UpstreamError("the length of its answer is stated more than once")
    if codings and codings[0].strip().lower() != b"chunked":
        raise UpstreamError("an unknown Transfer-Encoding")
    if lengths and not lengths[0].strip().isdigit():
        raise UpstreamError("an invalid Content-Length")
    bodiless = status in {204, 304}
    length = 0 if bodiless else int(lengths[0]) if lengths else None
    chunked = bool(codings) and not bodiless
    return Head(status, headers, length, chunked, _keeps_alive(version, options) and (chunked or length is not None))


def _keeps_alive(version: str, options: list[bytes]) -> bool:
    """RFC 9112 9.3: HTTP/1.1 unless `close` is said, HTTP/1.0 only if `keep-alive` is."""
    said = b",".join(options).lower()
    return b"close" not in said if version == "1.1" else b"keep-alive" in said
