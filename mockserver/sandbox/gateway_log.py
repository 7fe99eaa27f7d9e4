"""The log of a sandbox's gateway: where it listens, and what has happened since a test began, in lines for people."""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import IO, Any

OURS = "sandbox-"
"""How the ids of the sandbox's own requests begin; their lines are left out."""

_LINES_KEPT = 1000
_CLOCK_SECONDS = 0.001  # by which a line's time may be early: it is written in milliseconds


class GatewayLog:
    """Reads a JSON log to its end. `listening` is set when `url` is known, or the log has ended without it."""

    def __init__(self) -> None:
        self.url = ""
        self.listening = threading.Event()
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._since = 0.0
        self._awaited = ("", threading.Event())

    def read(self, stream: IO[str] | None) -> None:
        """Read until the stream ends, in a thread of its own."""
        if stream is None:
            return
        with stream:
            for line in stream:
                self._take(line.strip())
        self.listening.set()

    def forget(self) -> None:
        """Keep no line of what began until now, not even those that are yet to be written."""
        self._since = time.time()
        self.lines.clear()

    def line_of(self, request_id: str) -> threading.Event:
        """Is set once the line of one of the sandbox's own requests has been read: so has all that came before."""
        self._awaited = (request_id, threading.Event())
        return self._awaited[1]

    def last_words(self) -> str:
        """The last lines, in a sentence."""
        words = [line for line in list(self.lines)[-3:] if line]
        return "Its log ends: " + " / ".join(words) if words else "It logged nothing."

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            self.lines.append(line)
            return
        message = str(entry.get("message", ""))
        if message.startswith("serving on "):
            self.url = message.removeprefix("serving on ").strip()
            self.listening.set()
        if entry.get("id") == self._awaited[0]:
            self._awaited[1].set()
        if not _is_ours(entry) and _began(entry) >= self._since - _CLOCK_SECONDS:
            self.lines.append(_readable(entry, message))


def _is_ours(entry: Mapping[str, Any]) -> bool:
    """Whether a line is only about the sandbox's own questions and changes."""
    took_a_change = entry.get("logger") == "gateway.registry" and entry.get("level") == "info"
    return took_a_change or str(entry.get("id", "")).startswith(OURS)


def _began(entry: Mapping[str, Any]) -> float:
    """When that began of which a line tells, in seconds since 1970."""
    with suppress(ValueError):
        return datetime.fromisoformat(str(entry.get("time"))).timestamp() - (entry.get("total_ms") or 0.0) / 1000
    return time.time()


def _readable(entry: Mapping[str, Any], message: str) -> str:
    """A line of the JSON log for people."""
    at, level = str(entry.get("time", ""))[11:23], str(entry.get("level", ""))
    if message != "request":
        return f"{at} {level} {message}"
    where = f"{entry.get('deployment') or '-'} {entry.get('endpoint')}"
    why = entry.get("cause") or entry.get("reason") or ""
    return f"{at} {where} -> {entry.get('status')} {entry.get('ending')}{f' ({why})' if why else ''}"
