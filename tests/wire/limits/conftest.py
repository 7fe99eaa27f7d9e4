"""A gateway with a key for each case that reaches a limit: one that is reached stays so for a minute."""

import pytest

from tests.harness.processes.fleet import Fleet
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.wire.limits.limited_keys import config


@pytest.fixture(scope="session")
def counting(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a gateway that counts in a folder of its own."""
    return {"XDG_STATE_HOME": str(tmp_path_factory.mktemp("state"))}


@pytest.fixture
def limited_gateway(
    fleet: Fleet, gateway_loop: str, shared_upstream: ScriptedUpstream, counting: dict[str, str]
) -> GatewayProcess:
    """The gateway."""
    return fleet.share(gateway_loop, config(shared_upstream.url), counting)
