"""What a connection keeps of a request: the decision on it, and what it is when its client leaves."""

import asyncio
import logging
import sys
from dataclasses import replace

import pytest

from gateway.config.server_settings import Server
from gateway.core.endpoints import ENDPOINTS
from gateway.core.errors import NO_DEPLOYMENT, Refusal
from gateway.server.admission import Rejected, RequestedTarget
from gateway.server.app import create_app
from gateway.server.fast_path.demultiplexer import Demultiplexer
from gateway.server.http_server import Runner
from tests.harness.pages.status_pages import ToldRegistry
from tests.unit.gateway.server.plain_requests import posted

_ENDPOINT, _OTHER_ENDPOINT = list(ENDPOINTS.values())[:2]
_ASKED = RequestedTarget(b"digest", "demo", _ENDPOINT)
# Until aiohttp has begun a request. From Python 3.12 on its task begins in the turn in which it is made.
_TURNS = 2 if sys.version_info < (3, 12) else 1


@pytest.fixture
def connection() -> Demultiplexer:
    """A connection that holds a decision on `_ASKED`, without the socket that it does not need for it."""
    connection = Demultiplexer.__new__(Demultiplexer)
    connection._decision = Rejected(_ASKED, Refusal(NO_DEPLOYMENT))
    return connection


def test_a_decision_is_taken_once_for_its_own_request(connection: Demultiplexer) -> None:
    decision = connection.decision_on(RequestedTarget(b"digest", "demo", _ENDPOINT))
    assert decision is not None
    assert decision.asked == _ASKED
    assert connection.decision_on(_ASKED) is None


@pytest.mark.parametrize(
    "asked",
    [
        replace(_ASKED, key_digest=b"another's"),
        replace(_ASKED, deployment_id="other"),
        replace(_ASKED, endpoint=_OTHER_ENDPOINT),
    ],
    ids=["key", "deployment", "endpoint"],
)
def test_a_decision_on_another_request_is_forgotten(connection: Demultiplexer, asked: RequestedTarget) -> None:
    assert connection.decision_on(asked) is None
    assert connection.decision_on(_ASKED) is None


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("sent", [posted(), posted().replace(b" HTTP", b"?x=y! HTTP"), b"nonsense\r\n\r\n"], ids=str)
async def test_a_client_that_leaves_in_any_turn_of_the_event_loop_is_noted_once(
    caplog: pytest.LogCaptureFixture, sent: bytes, turns: int
) -> None:
    """aiohttp reads a request, makes it, and begins it, a turn each, and may be told to stop before any of these."""
    caplog.set_level(logging.INFO, "gateway.access")
    settings = Server(port=0)
    runner = Runner(create_app(settings, ToldRegistry()), settings)
    await runner.setup()
    assert runner.server is not None
    connection = runner.server()
    connection.connection_made(Socketless())
    await asyncio.sleep(0)
    connection.data_received(sent)
    for _ in range(turns):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    for _ in range(9):
        await asyncio.sleep(0)
    await runner.cleanup()
    lines = [record.__dict__["request"] for record in caplog.records if "request" in record.__dict__]
    assert len(lines) == 1
    assert turns >= _TURNS or lines[0]["ending"] == "client_left"


class Socketless(asyncio.Transport):
    """A connection without a peer."""

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...
    def write(self, data: object) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
