"""What the model servers of the soak can play, and the bytes of every answer. Pure.

A request's JSON says what is to be played, and names itself by a `nonce` that is in every answer to it: an answer that
reaches the wrong client is noticed.
"""

import json
from dataclasses import asdict, dataclass
from hashlib import shake_128
from typing import Any

DONE = b"data: [DONE]\n\n"
STREAM, PLAIN = "/v1/chat/completions", "/v1/embeddings"

WHOLE = ("plain", "stream", "late", "error")  # answered properly; `error` is a 500 of the model server's own
UNREACHABLE = ("close", "reset", "garbage", "loading")  # nothing that a client could be given
BROKEN = ("short", "cut", "cut_reset")  # begun, and broken off


@dataclass(frozen=True)
class Play:
    """Named as above; `size` is of a plain body in bytes, `events` are those of a stream, `pause` seconds apart."""

    name: str
    nonce: str
    size: int = 200
    events: int = 5
    pause: float = 0.0

    @property
    def path(self) -> str:
        """The endpoint it is played at."""
        return STREAM if self.name in {"stream", "cut", "cut_reset"} else PLAIN

    def request(self) -> bytes:
        """The body that asks for it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, body: bytes) -> "Play":
        """From the body that asks for it."""
        values: dict[str, Any] = json.loads(body)
        return cls(**values)

    def status(self) -> int:
        """Of the model server's answer."""
        return {"error": 500, "loading": 503}.get(self.name, 200)

    def body(self) -> bytes:
        """The whole answer, chunks taken off."""
        if self.path == STREAM:
            return b"".join(map(self.event, range(self.events))) + DONE
        if self.name == "error":
            return b'{"error":{"code":500,"message":"%b","type":"server_error"}}' % self.nonce.encode()
        if self.name == "loading":
            return b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'
        filler = shake_128(self.nonce.encode()).hexdigest(self.size // 2 + 1)
        return b'{"nonce":"%b","data":"%b"}' % (self.nonce.encode(), filler.encode())

    def event(self, number: int) -> bytes:
        """One event of its stream."""
        return b'data: {"nonce":"%b","choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % (
            self.nonce.encode(),
            number,
        )
