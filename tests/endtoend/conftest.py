"""A gateway started as the command line starts it, before an upstream that does as its script says."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.behaviour import scene
from tests.behaviour.fleet import Fleet, StartGateway
from tests.behaviour.gateway_process import GatewayProcess
from tests.behaviour.scripted_upstream import ScriptedUpstream


@pytest.fixture(scope="session")
def upstream_of_session() -> Iterator[ScriptedUpstream]:
    upstream = ScriptedUpstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="session")
def wire_fleet(tmp_path_factory: pytest.TempPathFactory, upstream_of_session: ScriptedUpstream) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("gateways"), upstream_of_session)
    yield fleet
    fleet.close()


@pytest.fixture
def gateway(wire_fleet: Fleet, gateway_loop: str, upstream_of_session: ScriptedUpstream) -> GatewayProcess:
    """Default limits; a gateway that most cases share."""
    return wire_fleet.share(gateway_loop, scene.config(upstream_of_session.url))


@pytest.fixture
def impatient_gateway(wire_fleet: Fleet, gateway_loop: str, upstream_of_session: ScriptedUpstream) -> GatewayProcess:
    """Waits 0.3 s for a first byte, and for the next."""
    brisk = "timeouts: {first_byte: 0.3, silence: 0.3}"
    return wire_fleet.share(gateway_loop, scene.config(upstream_of_session.url, brisk))


@pytest.fixture
def start_gateway(wire_fleet: Fleet, gateway_loop: str) -> StartGateway:
    """Starts a gateway for this case alone: `start_gateway(config, arguments, environ, serves=True)`."""
    return partial(wire_fleet.borrow, gateway_loop)


@pytest.fixture
def upstream(upstream_of_session: ScriptedUpstream, wire_fleet: Fleet) -> Iterator[ScriptedUpstream]:
    """The upstream of all of them, its record empty. Afterwards nothing may be left under way or complained of."""
    upstream_of_session.forget()
    yield upstream_of_session
    wire_fleet.check()
    assert not upstream_of_session.errors
    upstream_of_session.forget()
