"""One request and its answer on a socket: nothing is mended on the way, in neither direction."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

SOON = 30.0  # seconds, in which a real model has answered mostly
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_POSTS = ("POST", "PUT", "PATCH")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `raw`, where it is set, is sent as it is, head and all. `about` names its kind in a report."""

    about: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    raw: bytes = b""

    def encoded(self, host: str = "127.0.0.1") -> bytes:
        """The bytes that go out."""
        if self.raw:
            return self.raw
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        if self.body is not None or self.method in _POSTS:
            lines.append(f"Content-Length: {len(self.body or b'')}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode() + (self.body or b"")

    def parsed(self) -> Any:
        """The body as JSON. Raises ValueError if it is not that."""
        return json.loads(self.body or b"")


@dataclass(slots=True)
class Answer:
    """What came back: chunks if it was chunked. `end` is whole, cut, or nothing for a server that said no word."""

    status_line: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    end: str = "nothing"

    @property
    def status(self) -> int:
        """Its number; 0 if there is none."""
        words = self.status_line.split()
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self.chunks)

    def header(self, name: str) -> str:
        """A header's value; empty if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


def ask(url: str, request: Request, seconds: float = SOON) -> Answer:
    """Ask on a connection of its own. Raises ConnectionRefusedError if nobody listens."""
    parts = urlsplit(url)
    answer = Answer()
    with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as connection:
        with suppress(OSError):  # refused before all was sent: the answer says why
            connection.sendall(request.encoded(parts.netloc))
        try:
            with connection.makefile("rb") as stream:
                _read_head(stream, answer)
                answer.end = "cut"
                for chunk in _chunks(stream, answer, request.method):
                    answer.chunks.append(chunk)
                answer.end = "whole"
        except TimeoutError:
            answer.end = "silent"
        except (EOFError, OSError, ValueError):
            pass
    return answer


def _read_head(stream: Any, answer: Answer) -> None:
    while True:
        answer.status_line = stream.readline().decode("latin-1").rstrip("\r\n")
        if not answer.status_line:
            raise EOFError
        lines = list(_lines(stream))
        if answer.status != HTTPStatus.CONTINUE:
            break
    answer.headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def _lines(stream: Any) -> Iterator[str]:
    while line := stream.readline().decode("latin-1").rstrip("\r\n"):
        yield line


def _chunks(stream: Any, answer: Answer, method: str) -> Iterator[bytes]:
    """The body's pieces. Raises EOFError if it ends early."""
    if method == "HEAD" or answer.status in _BODILESS:
        return
    if answer.header("Transfer-Encoding").lower() == "chunked":
        while size := int(stream.readline().split(b";")[0] or b"x", 16):
            yield _exactly(stream, size)
            stream.readline()
        return
    length = answer.header("Content-Length")
    yield _exactly(stream, int(length)) if length else stream.read()


def _exactly(stream: Any, size: int) -> bytes:
    data: bytes = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
