"""How the log looks: for people on a terminal, JSON otherwise; and no line of it with a key in it."""

import asyncio
import atexit
import logging
import os
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic, time
from typing import Any, TextIO

import orjson

from gateway.core.exchange import Exchange
from gateway.telemetry.log_fields import log_fields
from gateway.telemetry.log_stream import LogStream
from gateway.telemetry.log_writer import LogWriter
from gateway.telemetry.masking import MAX_TEXT, masked

_BATCH_SECONDS = 0.05
_MILLISECONDS = [b".%03dZ" % number for number in range(1000)]  # made once: each line needs one of them
_REQUEST_HEAD = b'{"time":"%b","level":"info","logger":"gateway.access","message":"request",'
TakeEnded = Callable[[], list[Exchange]]  # returns each request that has ended once

log = logging.getLogger("gateway.log")
_requests = logging.getLogger("gateway.access")
_COLOURS = {"2": "32", "3": "36", "4": "33", "5": "31"}


def _traceback(text: str, indent: str) -> str:
    return "\n".join(indent + masked(line) for line in text[-MAX_TEXT:].splitlines())


class JsonLines(logging.Formatter):
    """One JSON object a line: `time` (UTC, ISO 8601), `level`, `logger`, `message`, and the fields of a request."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _iso(record.created).decode(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = _traceback(self.formatException(record.exc_info), "")
        return orjson.dumps(line).decode()

    def request_line(self, at: float, fields: dict[str, Any]) -> bytes:
        """The line of a request; `at` in seconds since 1970."""
        return _REQUEST_HEAD % _iso(at) + orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)[1:]


class HumanLines(logging.Formatter):
    """`12:00:00 info  ...`; a request as one aligned line. `colour` for a terminal, whose `encoding` it is."""

    def __init__(self, *, colour: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self._colour = colour
        self._encoding = encoding

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else record.levelname.lower() + " "
        line = self._line(record.created, (self._paint("33", level) if level else "") + masked(record.getMessage()))
        if record.exc_info:
            line += "\n" + _traceback(self.formatException(record.exc_info), "    ")
        return line

    def request_line(self, at: float, fields: dict[str, Any]) -> bytes:
        """The line of a request; `at` in seconds since 1970."""
        return _encoded(self._line(at, self._request(fields)), self._encoding)

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


def _iso(at: float) -> bytes:
    milliseconds = int(at * 1000)
    return _iso_second(milliseconds // 1000) + _MILLISECONDS[milliseconds % 1000]


@lru_cache(maxsize=2)
def _iso_second(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def _encoded(line: str, encoding: str) -> bytes:
    return f"{line}\n".encode(encoding, "backslashreplace")


class Batches(logging.Handler):
    """Hands lines to the writer together, a few times a second: to wake it for every request would cost more.

    Without an event loop, and from WARNING up, a line is handed over at once.
    """

    def __init__(self, stream: TextIO, formatter: JsonLines | HumanLines) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._formatter = formatter
        self._encoding = stream.encoding or "utf-8"
        self.writer = LogWriter(stream.fileno(), self._gap)
        self._lines: list[bytes] = []
        self._expected: list[TakeEnded] = []  # with the requests whose lines are next
        self._due_in: asyncio.AbstractEventLoop | None = None  # the event loop that will hand over what is kept

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, or hand it over with all that were kept."""
        self.format_expected()
        try:
            self._lines.append(_encoded(self.format(record), self._encoding))
        except (ValueError, TypeError):  # what cannot be formatted must not become an error of its request
            self.handleError(record)
        if record.levelno >= logging.WARNING or not self._is_due_later():
            self._hand_over()

    def expect(self, take: TakeEnded) -> None:
        """Write the lines of the requests that `take` returns: before any other line, or when it is time."""
        self._expected.append(take)
        if not self._is_due_later():
            self._hand_over()

    def flush(self) -> None:
        """Write all there is, and wait for that, but not for ever."""
        self._hand_over()
        self.writer.flush()

    def _hand_over(self) -> None:
        self.format_expected()
        lines, self._lines = self._lines, []
        self._due_in = None
        if lines:
            self.writer.write(b"".join(lines))

    def format_expected(self) -> None:
        """Make the lines of the requests that were expected."""
        expected, self._expected = self._expected, []
        for take in expected:
            self._format_requests(take())

    def _format_requests(self, ended: Iterable[Exchange]) -> None:
        unix_epoch = time() - monotonic()
        for one in ended:
            try:
                self._lines.append(self._formatter.request_line(unix_epoch + one.ended_at, log_fields(one)))
            except Exception:  # a fault of ours in one line must not lose the others
                log.exception("internal error: a request has no line")

    def _gap(self, lines: int, seconds: float) -> bytes:
        sentence = f"the log could not be written for {seconds:.1f} s: {lines} lines of it are lost"
        record = logging.LogRecord("gateway.log", logging.WARNING, "", 0, sentence, None, None)
        return _encoded(self._formatter.format(record), self._encoding)

    def _is_due_later(self) -> bool:
        if self._due_in is not None and self._due_in.is_running():
            return True
        try:
            self._due_in = asyncio.get_running_loop()
        except RuntimeError:
            return False
        self._due_in.call_later(_BATCH_SECONDS, self._hand_over)
        return True


def expect_requests(take: TakeEnded) -> None:
    """Write the lines of the requests that `take` returns, soon: those that have ended by then.

    They go straight to our own handler, if that is set up: a LogRecord costs more than all the rest of a line.
    """
    handler = _own_handler()
    if not _requests.isEnabledFor(logging.INFO):
        take()
    elif handler is not None:
        handler.expect(take)
    else:
        for exchange in take():
            fields = log_fields(exchange)
            _requests.info("request %s", fields["id"], extra={"request": fields})


def format_expected() -> None:
    """Make the lines of all that were expected now, as they are many."""
    handler = _own_handler()
    if handler is not None:
        handler.format_expected()


def _own_handler() -> Batches | None:
    handlers = logging.root.handlers
    return handlers[0] if len(handlers) == 1 and isinstance(handlers[0], Batches) else None


def set_up(style: str, level: str, stream: TextIO | None = None) -> None:
    """Send all logging to `stream` (standard error). `style` is auto, human or json; auto asks if it is a terminal.

    A standard stream is replaced by one that goes the same way: nothing that prints waits for who reads.
    """
    stream = stream or sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  as long as the process lives
    terminal = stream.isatty()
    human = style == "human" or (style == "auto" and terminal)
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"  # no-color.org
    encoding = stream.encoding or "utf-8"
    handler = Batches(stream, HumanLines(colour=colour, encoding=encoding) if human else JsonLines())
    _replace(stream, handler.writer)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("asyncio", "aiosqlite", "sqlalchemy", "alembic", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # Do not collect what no line shows (logging's own advice on optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.raiseExceptions = False  # what cannot be formatted must not become a traceback, nor reach a request


def _replace(stream: TextIO, writer: LogWriter) -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is stream:
            stream.flush()
            setattr(sys, name, LogStream(writer, stream.fileno(), stream.encoding))
            atexit.register(writer.flush)  # for what is printed last


def finish() -> None:
    """Write what there is, before the process ends; where the log cannot be written, that is no error of ours."""
    logging.shutdown()
