"""A decision that outlives an attempt is taken for the request that it was made on, and for no other."""

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
