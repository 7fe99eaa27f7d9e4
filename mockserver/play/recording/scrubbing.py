"""Takes the secrets out of a recording before it is kept: its keys and cookies, wherever it repeats them."""

import re
import zlib
from collections.abc import Sequence

from mockserver.play.recording.recording_file import Headers, RecordedPiece, Recording
from mockserver.play.secrets import is_secret_header, masked_headers, masked_query

_SHORTEST_SECRET = 6  # what is shorter may stand in a text by chance
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_LONGEST_UNPACKED = 2**24


def scrub(recording: Recording) -> None:
    """Put stars over every key and cookie: in the headers, in the query, and where a body repeats one."""
    secrets = _secrets_of(recording)
    recording.body = _scrubbed(recording.request_headers, recording.body, secrets)
    recording.pieces = _cut_as(recording.pieces, _scrubbed(recording.headers, _answer_of(recording), secrets))
    recording.path = _without(masked_query(recording.path).encode(), secrets).decode()
    recording.request_headers = masked_headers(recording.request_headers)
    recording.headers = masked_headers(recording.headers)


def spoils_answer(recording: Recording) -> bool:
    """Whether to scrub it would leave an answer that cannot be read: a key is packed in it."""
    return _is_packed(recording.headers) and _hides(_answer_of(recording), _secrets_of(recording))


def _answer_of(recording: Recording) -> bytes:
    return b"".join(piece.data for piece in recording.pieces)


def _is_packed(headers: Headers) -> bool:
    return any(name.lower() == "content-encoding" for name, _ in headers)


def _scrubbed(headers: Headers, body: bytes, secrets: Sequence[bytes]) -> bytes:
    """A body without its secrets. If it is compressed, nothing within can be changed: then it is all stars."""
    if not _is_packed(headers):
        return _without(body, secrets)
    return b"*" * len(body) if _hides(body, secrets) else body


def _hides(packed: bytes, secrets: Sequence[bytes]) -> bool:
    try:
        text = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(packed, _LONGEST_UNPACKED)
    except zlib.error:
        text = packed
    return any(secret in text for secret in secrets)


def _cut_as(pieces: Sequence[RecordedPiece], data: bytes) -> list[RecordedPiece]:
    """The pieces with other bytes: what is secret may begin in one and end in another."""
    left, cut = memoryview(data), list[RecordedPiece]()
    for piece in pieces:
        cut.append(RecordedPiece(piece.after_ms, bytes(left[: len(piece.data)])))
        left = left[len(piece.data) :]
    return cut


def _secrets_of(recording: Recording) -> list[bytes]:
    return [value.encode("latin-1") for value in _secrets(recording.request_headers + recording.headers)]


def _secrets(headers: Headers) -> set[str]:
    """The secret headers' values, and their parts: a key without its scheme, a cookie without its name."""
    values = [value for name, value in headers if is_secret_header(name)]
    parts = {part for value in values for part in [value, *re.split(r"[\s;=,]+", value)]}
    return {part for part in parts if len(part) >= _SHORTEST_SECRET and part.lower() != "bearer"}


def _without(data: bytes, secrets: Sequence[bytes]) -> bytes:
    """As long as before: the length of a body has been told already."""
    for secret in sorted(secrets, key=len, reverse=True):
        data = data.replace(secret, b"*" * len(secret))
    return data
