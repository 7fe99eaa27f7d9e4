"""Who follows what happens over a live stream is no model's client: a stop waits for none of them."""

import json
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import scene
from tests.harness.processes.commands import CommandProcess
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE
from tests.harness.sockets.wire_client import Closed, WireClient, request
from tests.wire.lifecycle.held_streams import HeldStreams, begin

pytestmark = pytest.mark.slow

_LONG = json.dumps({"name": "x" * 100_000})
_ROWS = 200  # 20 MB, of which the kernel takes some 5


@dataclass
class Team:
    """A database with very much in its audit log, and a token that may follow it."""

    place: Path
    token: str

    def follow(self, gateway: GatewayProcess, *lines: str) -> WireClient:
        """A client of the live stream, which has read its head."""
        client = gateway.connect()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.send(request("/api/admin/v1/events", f"Authorization: Bearer {self.token}", *lines, method="GET"))
        assert b"text/event-stream" in client.read_head()
        return client


@pytest.fixture
def team(tmp_path: Path) -> Team:
    place = tmp_path / "team.db"
    command = CommandProcess(place)
    command.says("accounts", "add", "acme")
    made = command.reads("tokens", "create", "--name", "ci", "--scope", "*")
    with sqlite3.connect(place) as connection:
        (newest,) = connection.execute("SELECT max(id) FROM audit").fetchone()
        columns = "at, actor_kind, actor, actor_name, face, address, action, target, account, before"
        copied = f"INSERT INTO audit ({columns}, after) SELECT {columns}, ? FROM audit WHERE id = ?"
        connection.executemany(copied, [(_LONG, newest)] * _ROWS)
    connection.close()
    return Team(place, made["token"])


@contextmanager
def stopping(gateway: GatewayProcess) -> Iterator[None]:
    """While it drains."""
    gateway.send_signal(signal.SIGTERM)
    gateway.log.wait_for("stopping: ")
    yield
    assert gateway.wait() == 0


def test_who_does_not_read_the_events_does_not_delay_the_stop(team: Team, start_gateway: StartGateway) -> None:
    gateway = start_gateway(f"server: {{port: 0, timeouts: {{drain: 100}}}}\ndatabase: {team.place}\n")
    client = team.follow(gateway, "Last-Event-ID: 0")
    gateway.wait_until_idle()
    with stopping(gateway):
        pass
    gateway.log.wait_for("stopped: 0 finished, 0 cut")
    with pytest.raises(Closed):  # what came is seen to be a part
        client.read_to_last_chunk()


def test_who_reads_the_events_sees_their_proper_end(team: Team, start_gateway: StartGateway) -> None:
    gateway = start_gateway(f"server: {{port: 0}}\ndatabase: {team.place}\n")
    client = team.follow(gateway)
    with stopping(gateway):
        assert client.read_to_last_chunk().startswith(b"retry: ")


def test_a_watcher_is_let_go_before_the_answers_are_over(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway, streams = start_gateway(scene.config(upstream.url)), HeldStreams()
    with upstream.playing(streams):
        (streaming,) = begin(gateway, 1)
        watcher = gateway.connect()
        watcher.send(request("/events", method="GET", host="localhost"))
        watcher.read_head()
        with stopping(gateway):
            assert watcher.read_to_last_chunk().startswith(b"retry: ")
            streams.let_end.set()
            assert streaming.read_to_last_chunk().endswith(DONE)
    gateway.log.wait_for("stopped: 1 finished, 0 cut")
