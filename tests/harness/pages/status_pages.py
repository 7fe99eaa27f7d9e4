"""A gateway with its status page for tests: real sockets, and a registry that is told what it says."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.config.server_settings import Probes, Server
from gateway.config.settings import server_with
from gateway.core.account import Key
from gateway.core.deployment import Deployment
from gateway.core.secret_text import digest_of
from gateway.registry.base import Registry, Snapshot, SourceProblem
from gateway.server.app import create_app
from gateway.server.http_server import Runner

KEY = "gw_status_page_canary_key"
UPSTREAM_KEY = "upstream-canary-secret"
NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(2)>',
    "javascript:alert(3)",
    "{{7*7}}",
    "</script><script>alert(4)</script>",
    "' onfocus=alert(5) autofocus '",
    "\u202egnp.exe\r\nevent: part\r\ndata: 1\x00\ud800",
)


class ToldRegistry(Registry):
    """A registry that says what a test tells it."""

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    def look_soon(self) -> None:
        """Nothing to look at."""

    def say(self, *deployments: Deployment, problem: SourceProblem | None = None) -> None:
        """Replace the deployments; `KEY` opens the account acme."""
        key = Key("k1", "laptop", "acme", digest_of(KEY))
        known = {one.id: one for one in deployments}
        self.replace(Snapshot.of([key], known.values()), problem)


class Gateway:
    """A gateway on a port of its own; stopping it keeps the port for the next start."""

    def __init__(self, registry: ToldRegistry, server: Server) -> None:
        self.registry = registry
        self.server = server
        self.port = server.port
        self._runner: Runner | None = None

    @property
    def url(self) -> str:
        """Where it is reached on this machine."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def app(self) -> web.Application:
        """The application that is serving."""
        assert self._runner is not None
        return self._runner.app

    async def start(self) -> None:
        """Begin to serve."""
        self._runner = Runner(create_app(self.server, self.registry), self.server)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.server.host[0], self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop as `serve` does once nothing is under way."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


@asynccontextmanager
async def serving(deployments: Iterable[Deployment] = (), **settings: object) -> AsyncIterator[Gateway]:
    """A gateway that serves `deployments`; `settings` are fields of the `server:` section."""
    registry = ToldRegistry()
    registry.say(*deployments)
    server = server_with(Server(port=0, probes=Probes(interval=0.1)), **settings)
    gateway = Gateway(registry, server)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
