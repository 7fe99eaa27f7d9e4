"""Table U: an upstream that is away, or gives no answer that can be shown. One refusal, one attempt, nothing kept."""

import time

import pytest

from tests.behaviour import contract
from tests.behaviour.gateway_process import GatewayProcess
from tests.behaviour.scripted_upstream import ScriptedUpstream
from tests.behaviour.stage import BRISK, Stage, chat

AT_ONCE = 1.0  # seconds


def serves_again(gateway: GatewayProcess, upstream: ScriptedUpstream) -> bool:
    """Whether the next request is answered with its own answer, on a connection that nothing went wrong on."""
    before = {received.connection for received in upstream.requests}
    assert gateway.ask(chat()).json() == {"object": "fine"}
    return upstream.requests[-1].connection not in before


# --- nobody there


@pytest.mark.parametrize(
    ("deployment", "within"),
    [
        pytest.param("closed", AT_ONCE, id="U1 closed port"),
        pytest.param("nameless", AT_ONCE, id="U2 unknown name"),
        pytest.param("longlabel", AT_ONCE, id="U2 impossible name"),
        pytest.param("blackhole", BRISK + AT_ONCE, id="U3 dropped SYNs"),
        pytest.param("slammer", AT_ONCE, id="U4 accepts and closes"),
        pytest.param("unix-gone", AT_ONCE, id="no such Unix socket"),
        pytest.param("tls-stranger", AT_ONCE, id="certificate of an unknown authority"),
        pytest.param("tls-misnamed", AT_ONCE, id="certificate of another name"),
        pytest.param("tls-to-plain", BRISK + AT_ONCE, id="TLS where none is spoken"),
        pytest.param("plain-to-tls", AT_ONCE, id="none where TLS is spoken"),
    ],
)
def test_an_upstream_that_cannot_be_reached_is_a_502_in_time(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, stage: Stage, deployment: str, within: float
) -> None:
    begun = time.monotonic()
    assert contract.UNREACHABLE.is_kept_by(relay_gateway.ask(chat(deployment)))
    assert time.monotonic() - begun < within
    assert not stage.tls.requests
    assert not stage.misnamed.requests
