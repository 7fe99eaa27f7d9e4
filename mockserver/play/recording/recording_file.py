"""One exchange on file: bytes, where they were cut into pieces, and when each came."""

import base64
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

_STATUS = re.compile(r"HTTP/\S+ ([0-9]{3})\b")

Headers = list[tuple[str, str]]


class RecordingError(Exception):
    """A folder or a file that cannot be used. One sentence, with its path."""


class RecordingEnd(StrEnum):
    """How the answer ended: whole, broken off by the server, or left by the client."""

    FINISHED = "finished"
    CUT = "cut"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class RecordedPiece:
    """A chunk of a chunked body, or else what came at a time. Milliseconds count from when the request was out."""

    after_ms: float
    data: bytes


@dataclass(slots=True)
class Recording:
    """A request and the answer to it. Without a `status_line` the server hung up before it said anything."""

    method: str
    path: str
    request_headers: Headers = field(default_factory=list)
    body: bytes = b""
    status_line: str = ""
    headers: Headers = field(default_factory=list)
    head_after_ms: float = 0.0
    pieces: list[RecordedPiece] = field(default_factory=list)
    ended: RecordingEnd = RecordingEnd.CUT
    ended_after_ms: float = 0.0

    @property
    def status(self) -> int:
        """The status of the answer; 0 if there is none to be understood."""
        found = _STATUS.match(self.status_line)
        return int(found[1]) if found else 0

    @property
    def is_chunked(self) -> bool:
        """Whether each piece is an HTTP chunk."""
        return self.method != "HEAD" and self.header("transfer-encoding").lower() == "chunked"

    def header(self, name: str) -> str:
        """A header of the answer; empty if there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def is_kept(self) -> bool:
        """Whether the connection outlives the answer: its length was told, and the server did not want to close."""
        says_close = self.header("connection").lower() == "close"
        return not says_close and bool(self.is_chunked or self.header("content-length"))

    @property
    def head(self) -> bytes:
        """The head of the answer as it goes on the wire."""
        lines = [self.status_line, *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def outcome(self) -> str:
        """What became of the request, in words."""
        status = self.status_line.partition(" ")[2] or "nothing"
        return f"{self.method} {self.path} -> {status}, {len(self.pieces)} pieces, {self.ended}"

    def __str__(self) -> str:
        said = " ".join(self.body[:100].decode("utf-8", "replace").split())
        return f"{self.method} {self.path} {said}".rstrip()


def write(recording: Recording, folder: Path, number: int) -> Path:
    """Keep a recording, which must have been scrubbed; the name of its file says what was asked."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", recording.path.partition("?")[0]).strip("-")[:60]
    path = folder / "-".join(filter(None, [f"{number:04}", recording.method, words]))
    path = path.with_name(f"{path.name}.json")
    path.write_text(json.dumps(_as_json(recording), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def files_of(folder: Path) -> list[Path]:
    """The recordings of a folder, in the order in which they were made."""
    return sorted(path for path in folder.glob("*.json") if path.name[:4].isdigit())


def read(path: Path) -> Recording:
    """Raises RecordingError, naming the file and what is wrong with it."""
    try:
        return _from_json(json.loads(path.read_text(encoding="utf-8")))
    except KeyError as error:
        raise RecordingError(f"{path}: {error} is missing.") from error
    except (OSError, ValueError, TypeError) as error:
        raise RecordingError(f"{path} is not a recording: {error}.") from error


def read_folder(folder: Path) -> list[Recording]:
    """All recordings of a folder. Raises RecordingError."""
    return [read(path) for path in files_of(folder)]


def _as_json(recording: Recording) -> dict[str, Any]:
    pieces = [{"after_ms": piece.after_ms, **_text("", piece.data)} for piece in recording.pieces]
    return {
        "request": {
            "method": recording.method,
            "path": recording.path,
            "headers": recording.request_headers,
            **_text("body_", recording.body),
        },
        "answer": {
            "status_line": recording.status_line,
            "headers": recording.headers,
            "after_ms": recording.head_after_ms,
            "pieces": pieces,
            "ended": recording.ended,
            "ended_after_ms": recording.ended_after_ms,
        },
    }


def _from_json(value: Any) -> Recording:
    request, answer = value["request"], value["answer"]
    return Recording(
        request["method"],
        request["path"],
        [(name, text) for name, text in request["headers"]],
        _data("body_", request),
        answer["status_line"],
        [(name, text) for name, text in answer["headers"]],
        float(answer["after_ms"]),
        [RecordedPiece(float(piece["after_ms"]), _data("", piece)) for piece in answer["pieces"]],
        RecordingEnd(answer["ended"]),
        float(answer["ended_after_ms"]),
    )


def _text(prefix: str, data: bytes) -> dict[str, str]:
    """Bytes as text where they are text, so that people can read and edit a recording."""
    try:
        return {f"{prefix}text": data.decode()}
    except UnicodeDecodeError:
        return {f"{prefix}base64": base64.b64encode(data).decode()}


def _data(prefix: str, value: dict[str, str]) -> bytes:
    if f"{prefix}base64" in value:
        return base64.b64decode(value[f"{prefix}base64"], validate=True)
    return value[f"{prefix}text"].encode()
