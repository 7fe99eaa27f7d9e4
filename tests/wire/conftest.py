"""One gateway before one scripted upstream for all cases, further ones on demand; invariants after each case."""

import socket
from collections.abc import Iterator
from functools import partial

import pytest

from tests.harness import scene
from tests.harness.processes.fleet import Fleet, StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.witness import WITNESS, warm, witnessed_config
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import Stage


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[ScriptedUpstream]:
    upstream = ScriptedUpstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="session")
def proxy_trap() -> Iterator[socket.socket]:
    """Listens where the environment of the shared gateway says that a proxy is. Nobody may come."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        yield trap


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory, shared_upstream: ScriptedUpstream) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("gateways"), shared_upstream)
    yield fleet
    fleet.close()


@pytest.fixture(scope="session")
def lures(proxy_trap: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment that lures a client library away from where it was told to go."""
    home = tmp_path_factory.mktemp("home")
    (home / ".netrc").write_text(f"machine 127.0.0.1 login somebody password {scene.UPSTREAM_KEY}-netrc\n")
    (home / ".netrc").chmod(0o600)
    proxy = f"http://127.0.0.1:{proxy_trap.getsockname()[1]}"
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), proxy)
    return {**proxies, "NO_PROXY": "", "no_proxy": "", "HOME": str(home), "NETRC": str(home / ".netrc")}


@pytest.fixture
def gateway(
    fleet: Fleet, gateway_loop: str, shared_upstream: ScriptedUpstream, lures: dict[str, str]
) -> GatewayProcess:
    """The gateway that most cases meet: default limits, everything logged, and an environment that lures it away."""
    config = scene.config(shared_upstream.url, "log: {level: debug, format: json}")
    return fleet.share(gateway_loop, config, lures)


@pytest.fixture
def strict_gateway(fleet: Fleet, gateway_loop: str, shared_upstream: ScriptedUpstream) -> GatewayProcess:
    """A gateway of small limits: bodies of 1 MiB, pauses of half a second."""
    limits = "limits: {body_bytes: 1048576}, timeouts: {upload_silence: 0.5, keepalive: 1}"
    return fleet.share(gateway_loop, scene.config(shared_upstream.url, limits))


@pytest.fixture
def impatient_gateway(fleet: Fleet, gateway_loop: str, shared_upstream: ScriptedUpstream) -> GatewayProcess:
    """Waits 0.3 s for a first byte, and for the next."""
    brisk = "timeouts: {first_byte: 0.3, silence: 0.3}"
    return fleet.share(gateway_loop, scene.config(shared_upstream.url, brisk))


@pytest.fixture(scope="session")
def stage(shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Upstreams that are closed, deaf, misnamed, behind TLS or a Unix socket."""
    stage = Stage(tmp_path_factory.mktemp("stage"), shared_upstream)
    yield stage
    stage.close()


@pytest.fixture
def relay_gateway(fleet: Fleet, gateway_loop: str, stage: Stage) -> GatewayProcess:
    """A gateway with a deployment for each upstream of the stage, and for each way to limit one."""
    return fleet.share(gateway_loop, stage.config())


@pytest.fixture
def start_gateway(fleet: Fleet, gateway_loop: str) -> StartGateway:
    """Starts a gateway for this case alone: `start_gateway(config, arguments, environ, serves=True)`."""
    return partial(fleet.borrow, gateway_loop)


@pytest.fixture
def upstream(shared_upstream: ScriptedUpstream) -> ScriptedUpstream:
    """The upstream of every gateway, its record empty."""
    assert shared_upstream.wait_for(ScriptedUpstream.is_quiet), "a request of the case before is still under way"
    shared_upstream.forget()
    return shared_upstream


@pytest.fixture(scope="session")
def witness(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a gateway that tells who takes the fast path."""
    script = tmp_path_factory.mktemp("witness") / "witness.py"
    script.write_text(WITNESS)
    return {"RUN_FIRST": str(script)}


@pytest.fixture
def witnessed(
    fleet: Fleet, gateway_loop: str, shared_upstream: ScriptedUpstream, witness: dict[str, str]
) -> GatewayProcess:
    """A gateway that tells who takes the fast path."""
    return fleet.share(gateway_loop, witnessed_config(shared_upstream.url), witness)


@pytest.fixture
def stopping(start_gateway: StartGateway, upstream: ScriptedUpstream, witness: dict[str, str]) -> GatewayProcess:
    """A gateway of its own that tells who takes the fast path, and has an idle connection to its upstream."""
    gateway = start_gateway(witnessed_config(upstream.url), (), witness)
    warm(gateway, upstream)
    return gateway


@pytest.fixture(autouse=True)
def _what_always_holds(fleet: Fleet, shared_upstream: ScriptedUpstream) -> Iterator[None]:
    """After every case: alive and serving, nothing leaked, no secret told, no complaint, nothing of it upstream."""
    yield
    fleet.check()
    seen = shared_upstream.raw()
    for secret in ("CANARYKEY", scene.COOKIE):
        assert secret.encode() not in seen, seen[:2000]
    assert not shared_upstream.errors
    shared_upstream.forget()
