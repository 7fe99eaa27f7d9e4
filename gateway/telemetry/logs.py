"""How the log looks: for people on a terminal, JSON otherwise; and no line of it with a key in it."""

import asyncio
import codecs
import logging
import os
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import Any, TextIO

import orjson

from gateway.core.account import KEY_PREFIX

# Anything that looks like one of our keys, or is in the place of a key in a header, wherever it came from.
_SECRETS = re.compile(
    rf"({re.escape(KEY_PREFIX)})[A-Za-z0-9_]{{8,}}"
    r"|((?:authorization|x-api-key|\bkey)(?:['\"]?\s*[:=]\s*(?:b?['\"])?|['\"]\s*,\s*b?['\"])(?:(?:bearer|basic)\s+)?)"
    r"[^\s'\"\\,&]+",
    re.IGNORECASE,
)
# What could forge a line, or the look of one: controls, line and paragraph separators, changes of direction.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
codecs.lookup("unicode_escape")  # loads it now: later there may be no file descriptor left to do so
_MAX_TEXT = 3000  # characters, so that a line stays below 4 KiB
_BATCH_SECONDS = 0.05
_requests = logging.getLogger("gateway.access")
_COLOURS = {"2": "32", "3": "36", "4": "33", "5": "31"}


def masked(text: str) -> str:
    """`text` with every key in it replaced, and no control character that could forge a line."""
    lower = text.lower()
    if text.isprintable() and "key" not in lower and KEY_PREFIX not in lower and "authorization" not in lower:
        return text[:_MAX_TEXT]  # nearly always; searching costs ten times as much
    text = _SECRETS.sub(lambda match: (match[1] or match[2]) + "…", text)
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)[:_MAX_TEXT]


def _traceback(text: str, indent: str) -> str:
    return "\n".join(indent + masked(line) for line in text[-_MAX_TEXT:].splitlines())


class JsonLines(logging.Formatter):
    """One JSON object a line: `time` (UTC, ISO 8601), `level`, `logger`, `message`, and the fields of a request."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = _traceback(self.formatException(record.exc_info), "")
        return orjson.dumps(line).decode()

    def request_line(self, at: float, fields: dict[str, Any]) -> str:
        """The line of a request; `at` in seconds since 1970."""
        head = '{"time":"' + _iso(at) + '","level":"info","logger":"gateway.access","message":"request",'
        return head + orjson.dumps(fields).decode()[1:]


def _iso(at: float) -> str:
    second = int(at)
    return f"{_iso_second(second)}.{int((at - second) * 1000):03d}Z"


@lru_cache(maxsize=2)
def _iso_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Batches(logging.StreamHandler[TextIO]):
    """Writes lines together, a few times a second: a system call for every request would cost more than its line.

    Without an event loop, and from WARNING up, a line is written at once.
    """

    def __init__(self, stream: TextIO, form: "JsonLines | HumanLines") -> None:
        super().__init__(stream)
        self.setFormatter(form)
        self._form = form
        self._lines: list[str] = []
        self._due_in: asyncio.AbstractEventLoop | None = None  # the event loop that will write what is kept

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, or write it with all that were kept."""
        try:
            self._lines.append(self.format(record) + self.terminator)
        except (ValueError, TypeError):  # what cannot be formatted must not become an error of its request
            self.handleError(record)
        if record.levelno >= logging.WARNING or not self._is_due_later():
            self.flush()

    def keep_request(self, fields: dict[str, Any]) -> None:
        """Keep the line of a request."""
        self._lines.append(self._form.request_line(time(), fields) + self.terminator)
        if not self._is_due_later():
            self.flush()

    def flush(self) -> None:
        """Write what was kept."""
        lines, self._lines = self._lines, []
        self._due_in = None
        if lines:
            try:
                self.stream.write("".join(lines))
                self.stream.flush()
            except (OSError, ValueError):
                return  # a full disk or a closed pipe: the gateway goes on without its log

    def _is_due_later(self) -> bool:
        if self._due_in is not None and self._due_in.is_running():
            return True
        try:
            self._due_in = asyncio.get_running_loop()
        except RuntimeError:
            return False
        self._due_in.call_later(_BATCH_SECONDS, self.flush)
        return True


class HumanLines(logging.Formatter):
    """`12:00:00 info  ...`; a request as one aligned line. `colour` for a terminal."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else record.levelname.lower() + " "
        line = self._line(record.created, (self._paint("33", level) if level else "") + masked(record.getMessage()))
        if record.exc_info:
            line += "\n" + _traceback(self.formatException(record.exc_info), "    ")
        return line

    def request_line(self, at: float, fields: dict[str, Any]) -> str:
        """The line of a request; `at` in seconds since 1970."""
        return self._line(at, self._request(fields))

    def _line(self, at: float, text: str) -> str:
        clock = datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S")
        return f"{self._paint('2', clock)} {text}"

    def _request(self, fields: dict[str, Any]) -> str:
        status = str(fields["status"] or "-")
        size = f"{fields['bytes_in']}→{fields['bytes_out']} B"
        first = "" if fields["first_byte_ms"] is None else f" first byte {fields['first_byte_ms']:.0f} ms,"
        words = [
            self._paint(_COLOURS.get(status[0], "0"), status),
            str(fields["endpoint"]),
            f"{fields['deployment'] or '-'} ({fields['account'] or fields.get('client') or '-'})",
            f"{size},{first} {fields['total_ms']:.0f} ms",
            str(fields["ending"]) + (f": {fields['cause']}" if fields.get("cause") else ""),
            self._paint("2", str(fields["id"])),
        ]
        return "  ".join(words)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def log_request(fields: dict[str, Any]) -> None:
    """Write the line of a request, in which no text is untrusted.

    It goes straight to our own handler, if that is set up: a LogRecord costs more than all the rest of the line.
    """
    handlers = logging.getLogger().handlers
    if len(handlers) == 1 and isinstance(handlers[0], Batches):
        handlers[0].keep_request(fields)
    else:
        _requests.info("request %s", fields["id"], extra={"request": fields})


def set_up(form: str, level: str, stream: TextIO | None = None) -> None:
    """Send all logging to `stream` (standard error). `form` is auto, human or json; auto asks if it is a terminal."""
    stream = stream or sys.stderr
    terminal = stream.isatty()
    human = form == "human" or (form == "auto" and terminal)
    handler = Batches(stream, HumanLines(colour=terminal) if human else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("asyncio", "aiosqlite", "sqlalchemy", "alembic", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # Do not collect what no line shows (logging's own advice on optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.raiseExceptions = False  # a full disk must not become a traceback, nor reach a request


def let_go() -> None:
    """Before the process ends: a log that cannot be written must not become its exit code.

    Python flushes standard error once more at exit, and exits with 120 if that fails.
    """
    logging.shutdown()
    try:
        sys.stderr.flush()
    except OSError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  open for as long as the process lives
