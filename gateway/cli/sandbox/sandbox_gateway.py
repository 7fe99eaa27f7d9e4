"""The sandbox's gateway, and the team in its database. To import this takes longer than a mock takes to start."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.cli.sandbox.control.sandbox_control import SandboxControl
from gateway.cli.sandbox.control.status_file import StatusFile
from gateway.cli.sandbox.definition import Definition
from gateway.cli.sandbox.file_follower import FileFollower
from gateway.cli.sandbox.mock_process import MockProcess, SandboxError
from gateway.cli.sandbox.processes import SandboxOptions, ServedSandbox
from gateway.cli.sandbox.team import team_database
from gateway.cli.sandbox.traffic.history import write_history
from gateway.cli.sandbox.traffic.playing import SandboxTraffic
from gateway.cli.sandbox.traffic.team import gather_team
from gateway.config.server_settings import Server
from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from gateway.registry.file_reading import read_settings
from gateway.server.process.listen_address import Reached
from gateway.server.process.run import serve
from gateway.team.unit_of_work import TeamDatabase


async def make_database(folder: Path) -> None:
    """Make the database that the gateway in this folder serves from."""
    await prepare(database_url(_database_in(folder)), create=True)


async def serve_gateway(
    folder: Path,
    options: SandboxOptions,
    mocks: Sequence[MockProcess],
    upstreams: Mapping[str, str],
    *,
    announce: Callable[[ServedSandbox], None],
    stop_pipe: int | None,
) -> None:
    """Serve before the servers at `upstreams`, by deployment, some of which are `mocks`. See `serve_sandbox`."""
    definition, file = options.definition, StatusFile(folder / "gateway.yaml")
    file.write(definition.configuration(upstreams, options.port))
    settings = read_settings(file.path)
    async with team_database(_database_in(folder), settings.server) as team:
        follower = FileFollower(file.path, team.database, team.registry)
        await follower.take_all()
        sign_in_path = await team.invite_who_started_it(settings.accounts)
        traffic = await _traffic(definition, team.database, settings.server) if options.with_traffic else None
        control = SandboxControl(options.control_port, mocks, team.registry, file, follower)

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


def _database_in(folder: Path) -> Path:
    return folder / "gateway.db"


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
