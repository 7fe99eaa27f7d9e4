"""Gateway and mocks on one machine: what `make run` serves. The mocks are processes of their own, met over HTTP.

So is the real llama-server, if the sandbox has one.
"""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.cli.sandbox.definition import Definition
from gateway.cli.sandbox.file_follower import FileFollower
from gateway.cli.sandbox.mock_process import MockProcess, SandboxError
from gateway.cli.sandbox.real_process import RealProcess
from gateway.cli.sandbox.sandbox_control import SandboxControl
from gateway.cli.sandbox.status_file import StatusFile
from gateway.cli.sandbox.team import team_database
from gateway.cli.sandbox.traffic.history import write_history
from gateway.cli.sandbox.traffic.playing import SandboxTraffic
from gateway.cli.sandbox.traffic.team import gather_team
from gateway.config.server_settings import Server
from gateway.registry.file_reading import read_settings
from gateway.server.process.listen_address import Reached, check_free
from gateway.server.process.run import serve
from gateway.team.unit_of_work import TeamDatabase


@dataclass(frozen=True, slots=True)
class ServedSandbox:
    """A sandbox that serves: the gateway's URL, the control URL, the configuration file, which may be edited."""

    definition: Definition
    url: str
    control_url: str
    path: Path
    sign_in_path: str

    @property
    def sign_in_url(self) -> str:
        """A link that signs in as an admin by itself, once."""
        return self.url + self.sign_in_path

    def as_json(self) -> dict[str, object]:
        """All that a program needs to know to use it."""
        return {
            "url": self.url,
            "sign_in_url": self.sign_in_url,
            "control_url": self.control_url,
            "key": self.definition.key,
            "config": str(self.path),
            "deployments": {
                name: {
                    "base_url": self.base_url(name),
                    "openai_base_url": f"{self.base_url(name)}/v1",
                    **({"control_url": f"{self.control_url}/{name}"} if name in self.definition.mocks else {}),
                }
                for name in self.definition.document["deployments"]
            },
        }

    def base_url(self, name: str) -> str:
        """The base URL of a deployment; the OpenAI SDK's has `/v1` behind it."""
        return f"{self.url}/api/gguf/{name}"


async def serve_sandbox(
    definition: Definition,
    port: int,
    control_port: int,
    announce: Callable[[ServedSandbox], None],
    stop_pipe: int | None = None,
    *,
    with_traffic: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT, or the end of `stop_pipe`, a file descriptor; then stop every server.

    `with_traffic` lets a small team play on the deployments of the first account that have a mock.

    Raises SandboxError if one of them does not start, ListenError if a port is taken.
    """
    check_free(Server().host[0], port)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gguf-sandbox-")))
        mocks = [MockProcess(name, options) for name, options in definition.mocks.items()]
        servers: list[MockProcess | RealProcess] = [
            *mocks,
            *(RealProcess(name, real) for name, real in definition.real.items()),
        ]
        for server in servers:
            stack.push_async_callback(server.stop)
        await asyncio.gather(*(server.start() for server in servers))
        file = StatusFile(folder / "gateway.yaml")
        file.write(definition.configuration({server.name: server.url for server in servers}, port))
        settings = read_settings(file.path)
        team = await stack.enter_async_context(team_database(folder / "gateway.db", settings.server))
        follower = FileFollower(file.path, team.database, team.registry)
        await follower.take_all()
        sign_in_path = await team.invite_who_started_it(settings.accounts)
        traffic = await _traffic(definition, team.database, settings.server) if with_traffic else None
        control = SandboxControl(control_port, mocks, team.registry, file, follower)

        def tell(reached: Reached) -> None:
            served = ServedSandbox(definition, reached.urls[0], control.url, file.path, sign_in_path)
            control.sandbox = served.as_json()
            announce(served)
            if traffic is not None:
                traffic.start(served.url)

        def extend(gateway: web.Application) -> None:
            gateway.cleanup_ctx.append(follower.following)
            control.add_to(gateway)
            if traffic is not None:
                gateway.on_shutdown.append(traffic.stop)

        await serve(settings.server, team.registry, tell, stop_pipe, extend=extend)


async def _traffic(definition: Definition, database: TeamDatabase, server: Server) -> SandboxTraffic:
    """A team on the mocks of the first account. Raises SandboxError where there is none."""
    account = next(iter(definition.document["accounts"]), None)
    deployments = definition.document["deployments"]
    names = [name for name in definition.mocks if deployments[name]["account"] == account]
    if account is None or not names:
        raise SandboxError("--traffic needs a deployment with a mock, of the definition's first account.")
    players = await gather_team(database, account)
    await write_history(database, account, names[0], players, datetime.now(ZoneInfo(server.time_zone)))
    return SandboxTraffic(players, names)
