"""L17: the wall clock jumps, by hours, days or centuries, under a gateway that serves."""

import re
import signal
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.harness import contract, scene
from tests.harness.patience import AT_ONCE, PATIENCE
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.preloading import built
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat
from tests.harness.sockets.upstream_visit import Script, Visit
from tests.harness.sockets.wire_client import WireClient

pytestmark = pytest.mark.slow


FINE = {"object": "fine"}
HOUR = 3600


def until(year: int) -> int:
    """The seconds to the middle of a year."""
    return int((datetime(year, 6, 1, tzinfo=UTC) - datetime.now(UTC)).total_seconds())


# Beyond what 32 bits can count, and nearly beyond what Python's own clock can: that ends in 2262.
JUMPS = {
    "a day on": 24 * HOUR,
    "a day back": -24 * HOUR,
    "an hour back": -HOUR,
    "2039": until(2039),
    "2261": until(2261),
}


class WallClock:
    """The wall clock of one process, which a test moves."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "shift"
        self.move(0)
        self.environ = {"LD_PRELOAD": str(library), "WALL_CLOCK_SHIFT": str(self._file)}

    def move(self, seconds: int) -> None:
        """Let it differ by so many seconds from the machine's."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What moves the clock, compiled."""
    return built("wall_clock.c", tmp_path_factory.mktemp("clock"))


@pytest.fixture
def clock(tmp_path: Path, library: Path) -> WallClock:
    return WallClock(tmp_path, library)


def talk_while_wanted(go_on: threading.Event) -> Script:
    """A script: begin a stream, and end it once `go_on` is set."""

    def script(visit: Visit) -> None:
        if visit.read_body() == b"hang":
            visit.wait_until_left()
            return
        visit.begin_stream()
        visit.chunk(EVENT)
        assert go_on.wait(PATIENCE)
        visit.chunk(EVENT)
        visit.chunk(DONE)
        visit.chunk(b"")

    return script


def test_L17_expiry_follows_the_wall_clock_and_nothing_else_does(
    start_gateway: StartGateway, upstream: ScriptedUpstream, clock: WallClock
) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=12)).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = scene.config(upstream.url, "timeouts: {drain: 0.3}, log: {format: json}")
    text = text.replace("2020-01-01T00:00:00Z", soon)
    text += f"  brisk: {{account: acme, upstream: '{upstream.url}', status: ready, timeouts: {{first_byte: 0.3}}}}\n"
    gateway = start_gateway(text, environ=clock.environ)
    for number, seconds in enumerate(JUMPS.values()):
        clock.move(0)
        assert gateway.ask(chat(key=scene.EXPIRED_KEY)).json() == FINE
        through_a_jump(gateway, upstream, clock, seconds)
        if seconds > 0:
            assert contract.BAD_KEY.is_kept_by(gateway.ask(chat(key=scene.EXPIRED_KEY)))
        line = gateway.mark_log()
        gateway.config.write_text(
            f"{text}  new-{number}: {{account: acme, upstream: '{upstream.url}', status: ready}}\n"
        )
        gateway.send_signal(signal.SIGHUP)
        gateway.log.wait_for("6 deployments", start=line)
    assert not re.search(r'_ms": ?-', gateway.log.since(0)), "a negative duration"
    assert not re.search(r"_(sum|bucket\S*|total\S*) -", gateway.metrics())


def through_a_jump(gateway: GatewayProcess, upstream: ScriptedUpstream, clock: WallClock, seconds: int) -> None:
    """A stream, a connection and a limit on time that the clock jumps under."""
    go_on = threading.Event()
    with gateway.connect() as streaming, gateway.connect() as idle, gateway.connect() as hanging:
        assert idle.ask(chat()).json() == FINE
        with upstream.playing(talk_while_wanted(go_on)):
            streaming.send(chat())
            streaming.read_head()
            begun = time.monotonic()
            hanging.send(chat("brisk", body=b"hang"))
            assert upstream.wait_for(lambda upstream: upstream.busy == 2)
            clock.move(seconds)
            late = hanging.read_response()
            assert contract.TIMED_OUT.is_kept_by(late)
            assert 0.25 < time.monotonic() - begun < AT_ONCE
            assert_date_of(late.header("Date"), seconds)
            go_on.set()
            assert streaming.read_to_last_chunk() == EVENT + EVENT + DONE
        assert idle.ask(chat()).json() == FINE
        assert idle.ask(chat(key="gw_unknown")).status == 401


def assert_date_of(said: str | None, seconds: int) -> None:
    """The clock has really jumped: the Date header tells."""
    shown = datetime.strptime(said or "", "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert abs(shown - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(seconds=AT_ONCE)


@pytest.mark.parametrize("seconds", [24 * HOUR, -24 * HOUR])
def test_L17_the_time_to_drain_does_not_follow_the_wall_clock(
    start_gateway: StartGateway, upstream: ScriptedUpstream, clock: WallClock, seconds: int
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "timeouts: {drain: 0.5}"), environ=clock.environ)
    never = threading.Event()
    with upstream.playing(talk_while_wanted(never)), WireClient(gateway.port) as client:
        client.send(chat())
        client.read_head()
        begun = time.monotonic()
        gateway.send_signal(signal.SIGTERM)
        gateway.log.wait_for("stopping: 1 request in progress")
        clock.move(seconds)
        assert b"The gateway is shutting down." in client.read_to_end()
        assert gateway.wait() == 0
        assert 0.45 < time.monotonic() - begun < AT_ONCE
        never.set()
