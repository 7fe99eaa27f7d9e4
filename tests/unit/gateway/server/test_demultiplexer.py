"""What a connection keeps of a request: the decision on it, and its bytes while the rest may come."""

import asyncio

import pytest

from gateway.core.endpoints import ENDPOINTS
from gateway.core.errors import NO_DEPLOYMENT, Refusal
from gateway.server.admission import Rejected, RequestedTarget
from gateway.server.demultiplexer import Demultiplexer

_ENDPOINT, _OTHER_ENDPOINT = list(ENDPOINTS.values())[:2]
_ASKED = RequestedTarget(b"digest", "demo", _ENDPOINT)


@pytest.fixture
def connection() -> Demultiplexer:
    """A connection that holds a decision on `_ASKED`, without the socket that it does not need for it."""
    connection = Demultiplexer.__new__(Demultiplexer)
    connection._decision = Rejected(_ASKED, Refusal(NO_DEPLOYMENT))
    connection._buffer, connection._collecting = b"the beginning", None
    return connection


def test_a_decision_is_taken_once_for_its_own_request(connection: Demultiplexer) -> None:
    decision = connection.decision_on(RequestedTarget(b"digest", "demo", _ENDPOINT))
    assert decision is not None
    assert decision.asked == _ASKED
    assert connection.decision_on(_ASKED) is None


@pytest.mark.parametrize(
    "asked",
    [
        _ASKED._replace(key_digest=b"another's"),
        _ASKED._replace(deployment_id="other"),
        _ASKED._replace(endpoint=_OTHER_ENDPOINT),
    ],
    ids=["key", "deployment", "endpoint"],
)
def test_a_decision_on_another_request_is_forgotten(connection: Demultiplexer, asked: RequestedTarget) -> None:
    assert connection.decision_on(asked) is None
    assert connection.decision_on(_ASKED) is None


def test_what_came_of_a_client_that_has_just_left_is_kept_for_the_log(connection: Demultiplexer) -> None:
    """Left in the very turn in which the wait for the rest ends: `connection_lost` is called next, and notes it."""

    class Closing(asyncio.Transport):
        def is_closing(self) -> bool:
            return True

    for transport in (Closing(), None):
        connection.transport = transport
        connection._stop_collecting(None)
        assert connection._buffer == b"the beginning"
