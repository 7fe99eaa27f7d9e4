"""The log: no key in it, one line an event, whoever chose the words."""

import asyncio
import json
import logging
import pty
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.exchange import Ending, Exchange
from gateway.core.http.cors import Cors
from gateway.core.http.forwarding import TrustedProxies
from gateway.core.notifier import Notifier
from gateway.telemetry import logs
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.logs import HumanLines, JsonLines
from gateway.telemetry.masking import masked
from tests.harness.patience import PATIENCE

KEY = "gw_0123456789abcdefghij"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer s3cret", "Authorization: Bearer …"),
        ("AUTHORIZATION: basic s3cret", "AUTHORIZATION: basic …"),
        ("{'x-api-key': 's3cret'}", "{'x-api-key': '…'}"),
        ("[(b'x-api-key', b's3cret')]", "[(b'x-api-key', b'…')]"),
        ('"key":"s3cret"', '"key":"…"'),
        ("/v1/models?key=s3cret&x=1", "/v1/models?key=…&x=1"),
        (f"path /a/{KEY}/b", "path /a/gw_…/b"),
        (KEY.upper(), "GW_…"),
        ("No key is configured", "No key is configured"),
        ("the key, as said, of acme/main", "the key, as said, of acme/main"),
        ("one\ntwo\r\x1b[31m\x00\x85\u2028\u202e\ud800\t", "one\\ntwo\\r\\x1b[31m\\x00\\x85\\u2028\\u202e\\ud800\\t"),
    ],
)
def test_keys_are_masked_and_controls_are_spelled_out(text: str, shown: str) -> None:
    assert masked(text) == shown


@given(st.text(), st.text(), st.sampled_from([KEY, "Authorization: Bearer s3cret", "x-api-key: s3cret"]))
def test_a_key_is_masked_whatever_surrounds_it(before: str, after: str, secret: str) -> None:
    shown = masked(f"{before} {secret} {after}")
    assert secret not in shown
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in shown)
    assert len(shown) <= 3000


class LogFile:
    """A log that is a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stream = path.open("w", encoding="utf-8")

    def text(self) -> str:
        """What it holds once all that was handed over is written."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logs.Batches):
                handler.writer.flush()
        return self.path.read_text(encoding="utf-8")


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[LogFile]:
    """Everything logged, with the root logger put back as it was."""
    root = logging.getLogger()
    before, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    file = LogFile(tmp_path / "log")
    yield file
    file.text()
    file.stream.close()
    root.handlers[:], logging.raiseExceptions = before, raises
    root.setLevel(level)


def test_json_lines_are_one_object_each_and_shorter_than_4_kib(log_file: LogFile) -> None:
    logs.set_up("auto", "info", log_file.stream)
    logging.getLogger("x").warning("a\nb %s", "c" * 10_000)
    text = log_file.text()
    assert text.count("\n") == 1
    assert len(text) < 4096
    assert json.loads(text)["message"].startswith("a\\nb c")


def test_human_lines_cannot_be_forged(log_file: LogFile) -> None:
    logs.set_up("human", "info", log_file.stream)
    logging.getLogger("x").info("%s", "innocent\n12:00:00 error forged\x1b[2J")
    assert log_file.text().count("\n") == 1
    assert "\x1b" not in log_file.text()


def test_a_traceback_is_masked_and_indented() -> None:
    try:
        raise ValueError(f"first\n12:00:00 error forged {KEY}")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "fault", (), sys.exc_info())
    shown = HumanLines(colour=False).format(record)
    assert KEY not in shown
    assert "ValueError" in shown
    assert all(text.startswith("    ") for text in shown.splitlines()[1:])
    assert KEY not in JsonLines().format(record)


def test_a_request_is_one_aligned_line(log_file: LogFile) -> None:
    logs.set_up("human", "info", log_file.stream)
    exchange = Exchange(KEY)
    exchange.account, exchange.status, exchange.bytes_out = "acme", 404, 74
    exchange.ending, exchange.cause = Ending.REFUSED, "x-api-key: s3cret"
    access = AccessLog(Notifier(), Cors(()), TrustedProxies(()))
    access.log(exchange, make_mocked_request("GET", "/a%0A/b"))
    shown = re.sub(r"\d+ ms", "0 ms", log_file.text())
    assert shown.endswith(" 404  GET /a\\n/b  - (acme)  0→74 B, 0 ms  refused: x-api-key: …  gw_…\n")


def test_lines_wait_for_each_other_only_in_an_event_loop(log_file: LogFile) -> None:
    """An event loop that has ended may have left lines behind, and a timer that nobody minds any more."""
    logs.set_up("human", "info", log_file.stream)
    log = logging.getLogger("x")

    async def say(text: str) -> str:
        log.info(text)
        return log_file.text()

    async def say_and_wait(text: str) -> None:
        log.info(text)
        async with asyncio.timeout(PATIENCE):
            while text not in log_file.text():
                await asyncio.sleep(0.01)

    assert asyncio.run(say("first")) == ""
    log.info("second")
    assert [text.rpartition(" ")[2] for text in log_file.text().splitlines()] == ["first", "second"]
    assert "third" not in asyncio.run(say("third"))
    asyncio.run(say_and_wait("fourth"))
    assert log_file.text().count("\n") == 4


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_gets_colours_unless_it_asks_for_none(
    log_file: LogFile, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    controller, terminal = pty.openpty()
    with open(terminal, "w", encoding="utf-8") as stream, open(controller, "rb", buffering=0) as screen:
        logs.set_up("auto", "info", stream)
        logging.getLogger("x").warning("said")
        text = b""
        while not text.endswith(b"\n"):
            text += screen.read(4096)
    assert (b"\x1b" in text) == coloured
    assert b"said" in text
