"""What was carried is counted, and written to the log, many exchanges at a time: each as if it were alone."""

import json
import logging
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.answer.usage import Usage
from gateway.core.exchange import Ending, Exchange
from gateway.core.http.cors import Cors
from gateway.core.http.forwarding import TrustedProxies
from gateway.core.notifier import Notifier
from gateway.telemetry import logs
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.metrics import BOUNDS, Histogram

SECONDS = st.floats(0, 1000) | st.sampled_from(BOUNDS)


def carried(name: str, status: int = 200, ending: Ending = Ending.FINISHED) -> Exchange:
    exchange = Exchange(name)
    exchange.account, exchange.key, exchange.deployment, exchange.endpoint = "acme", "k1", "demo", "/v1/models"
    exchange.status, exchange.ending, exchange.bytes_in, exchange.bytes_out = status, ending, 2, 3
    exchange.usage = Usage(5, 7, 1)
    return exchange


@contextmanager
def log_written_to(path: Path) -> Iterator[None]:
    """The log, as JSON; behind the block all of it is there, and the root logger as it was."""
    root = logging.getLogger()
    before, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    with path.open("w", encoding="utf-8") as stream:
        logs.set_up("json", "info", stream)
        try:
            yield
        finally:
            root.handlers[0].flush()
            root.handlers[:], logging.raiseExceptions = before, raises
            root.setLevel(level)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@given(st.lists(st.lists(SECONDS)))
def test_a_histogram_counts_some_at_once_as_one_by_one(batches: list[list[float]]) -> None:
    histogram, expected = Histogram(), [0] * (len(BOUNDS) + 1)
    for batch in batches:
        histogram.add(batch)
        for seconds in batch:
            expected[bisect_left(BOUNDS, seconds)] += 1
    assert histogram.counts == expected
    assert histogram.total == pytest.approx(sum(map(sum, batches)))


async def test_all_that_has_ended_is_counted_whenever_it_is_asked_for() -> None:
    access = AccessLog(Notifier(), Cors(()), TrustedProxies())
    for number in range(1, 200):
        access.log(carried(str(number), *((200, Ending.FINISHED) if number % 3 else (502, Ending.REFUSED))))
        if number in {1, 63, 64, 65, 199}:
            (traffic,) = access.metrics.traffic.values()
            outcomes = {(200, "finished"): number - number // 3, (502, "refused"): number // 3}
            assert traffic.requests == {outcome: count for outcome, count in outcomes.items() if count}
            sizes = traffic.bytes_in, traffic.bytes_out, traffic.tokens_in, traffic.tokens_out, traffic.cached
            assert sizes == (2 * number, 3 * number, 5 * number, 7 * number, number)


async def test_requests_and_other_lines_are_written_in_their_order(tmp_path: Path) -> None:
    access, expected = AccessLog(Notifier(), Cors(()), TrustedProxies()), []
    with log_written_to(tmp_path / "log"):
        for number in range(150):
            access.log(carried(f"id-{number}"))
            expected.append(f"id-{number}")
            if number % 40 == 0:
                logging.getLogger("x").info("said %d", number)
                expected.append(f"said {number}")
    assert [line.get("id", line["message"]) for line in lines_of(tmp_path / "log")] == expected


async def test_a_fault_in_one_line_loses_no_other(tmp_path: Path) -> None:
    access, spoilt = AccessLog(Notifier(), Cors(()), TrustedProxies()), carried("spoilt")
    spoilt.usage = cast(Any, "no usage")
    with log_written_to(tmp_path / "log"):
        for exchange in (carried("first"), spoilt, carried("last")):
            access.log(exchange)
    lines = lines_of(tmp_path / "log")
    assert [line["id"] for line in lines if line["level"] == "info"] == ["first", "last"]
    (fault,) = [line for line in lines if line["level"] == "error"]
    assert "AttributeError" in fault["traceback"]
