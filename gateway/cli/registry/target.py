"""What a command works on: the registry of `--config`, the database of `--database`, or the gateway at `--server`."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

import click
from click.core import ParameterSource
from pydantic import BaseModel

from gateway.cli.arguments import FILE, gateway_url
from gateway.cli.registry.shared_options import as_option
from gateway.cli.secret import read_secret
from gateway.config.server_settings import is_loopback
from gateway.core.secret_text import ADMIN_TOKEN_PREFIX
from gateway.registry.base import ChangeError
from gateway.team.operation_error import NOT_VALID, FieldError, Invalid

if TYPE_CHECKING:
    from gateway.cli.client.team_client import TeamClient
    from gateway.config.server_settings import Server
    from gateway.config.settings import Settings
    from gateway.team.import_settings import Imported
    from gateway.team.models.common import PageQuery

P = ParamSpec("P")
T = TypeVar("T")

TOKEN_VARIABLE = "GGUF_GATEWAY_TOKEN"  # noqa: S105  the name of a variable
DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Target:
    """Exactly one of a configuration file, a database and a gateway's URL, that with the token to use there."""

    config: Path | None = None
    database: str | None = None
    server: str | None = None
    token: str = field(default="", repr=False)

    def perform(
        self,
        name: str,
        *ids: str,
        request: BaseModel | None = None,
        make_account: str | None = None,
        create: bool = False,
    ) -> Any:
        """Do one operation; with `create`, in a new database if there is none. Raises ChangeError, and SourceError."""
        return self.run(
            lambda client: client.perform(name, *ids, request=request, make_account=make_account), create=create
        )

    def every(self, name: str, query: "PageQuery") -> list[Any]:
        """All that a list holds. Raises ChangeError, and SourceError."""
        return self.run(lambda client: client.every(name, query))

    def run(self, work: "Callable[[TeamClient], Awaitable[T]]", *, create: bool = False, base_url: str = "") -> T:
        """Do several operations in a row. Links that are shown begin with `base_url`, where this machine makes them."""
        try:
            return asyncio.run(self._run(work, create, base_url))
        except Invalid as error:
            if error.message != NOT_VALID:
                raise
            raise ChangeError("\n".join(map(_mistake, error.errors)) or error.message) from error

    def import_settings(self, settings: "Settings", file: str, *, overwrite: bool) -> "Imported":
        """Take over what a file holds, into a new database if there is none. Raises ChangeError, and SourceError."""
        from gateway.cli.client.local_client import LocalClient

        async def work(client: "TeamClient") -> "Imported":
            if not isinstance(client, LocalClient):
                raise ChangeError(f"{self.config} names no database to import into.")
            return await client.import_settings(settings, file, overwrite=overwrite)

        return self.run(work, create=True)

    def configured_server(self) -> "Server | None":
        """The `server` section of the configuration; None where none is named. Raises SourceError."""
        return None if self.config is None else _settings(self.config).server

    async def _run(self, work: "Callable[[TeamClient], Awaitable[T]]", create: bool, base_url: str) -> T:
        async with self._open(create, base_url) as client:
            return await work(client)

    @asynccontextmanager
    async def _open(self, create: bool, base_url: str) -> "AsyncIterator[TeamClient]":
        if self.server is not None:
            from gateway.cli.client.remote_client import open_gateway

            async with open_gateway(self.server, self.token) as remote:
                yield remote
            return
        place = self._place()
        if place is None:
            yield self._file()
            return
        from gateway.cli.client.local_client import open_database

        server = self.configured_server()
        async with open_database(place, create=create, base_url=base_url, server=server) as local:
            yield local

    def _place(self) -> Path | str | None:
        """Where the database is; None where the configuration is the registry itself."""
        from gateway.registry.database.sqlite_file import place_of

        if self.config is None:
            return place_of(self.database or "")
        named = _settings(self.config).database
        return None if named is None else place_of(named, self.config.parent)

    def _file(self) -> "TeamClient":
        from gateway.cli.client.file_client import FileClient

        if self.config is None:
            raise RuntimeError("a file is the registry where it is the configuration")
        return FileClient(self.config, _settings(self.config))


def _mistake(error: FieldError) -> str:
    """What is wrong with a field, which is called as on the command line."""
    return f"--{as_option(error.field.rpartition('.')[2])}: {error.message}"


def with_target(command: Callable[Concatenate[Target, P], T]) -> Callable[P, T]:
    """Give a command `--config`, `--database` and `--server`, and as its first argument what they name."""

    @_places
    @click.option(
        "--server",
        metavar="URL",
        callback=gateway_url,
        envvar="GGUF_GATEWAY_SERVER",
        show_envvar=True,
        help=f"A gateway that runs, asked with the admin token in {TOKEN_VARIABLE}.",
    )
    @click.option("--token-stdin", is_flag=True, help="Read the admin token for --server from standard input.")
    @click.option("--insecure-http", is_flag=True, help="Send the token without TLS beyond this machine, too.")
    @functools.wraps(command)
    def wrapped(
        config: Path | None,
        database: str | None,
        server: str | None,
        token_stdin: bool,
        insecure_http: bool,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        name, value = _chosen({"config": config, "database": database, "server": server})
        if name != "server":
            if token_stdin or insecure_http:
                raise click.UsageError("--token-stdin and --insecure-http belong to --server.")
            return command(_local(name, value), *args, **kwargs)
        url = str(value)
        _require_privacy(url, insecure_http=insecure_http)
        return command(Target(server=url, token=_token(from_stdin=token_stdin)), *args, **kwargs)

    return wrapped


def with_local_target(command: Callable[Concatenate[Target, P], T]) -> Callable[P, T]:
    """Give a command `--config` and `--database` alone: for what no gateway does from afar."""

    @_places
    @functools.wraps(command)
    def wrapped(config: Path | None, database: str | None, *args: P.args, **kwargs: P.kwargs) -> T:
        return command(_local(*_chosen({"config": config, "database": database})), *args, **kwargs)

    return wrapped


def _places(command: Callable[..., T]) -> Callable[..., T]:
    command = click.option(
        "--database",
        metavar="URL|FILE",
        envvar="GGUF_GATEWAY_DATABASE",
        show_envvar=True,
        help="The database itself: an SQLite file, or an SQLAlchemy URL.",
    )(command)
    return click.option(
        "--config",
        type=FILE,
        envvar="GGUF_GATEWAY_CONFIG",
        show_envvar=True,
        help="The gateway's YAML file, which names the database.",
    )(command)


def _chosen(given: dict[str, object]) -> tuple[str, object]:
    """The one that is given; the command line takes precedence over the environment."""
    context = click.get_current_context()
    named = {name: value for name, value in given.items() if value}
    if len(named) > 1:
        typed = [name for name in named if context.get_parameter_source(name) is not ParameterSource.ENVIRONMENT]
        if len(typed) != 1:
            first, second, *_ = typed or named
            raise click.UsageError(f"Give either --{first} or --{second}, not both.")
        named = {typed[0]: named[typed[0]]}
    if not named:
        also = ", or --server URL" if "server" in given else ""
        raise click.UsageError(f"Which registry? Give --config FILE or --database FILE{also}.")
    return next(iter(named.items()))


def _local(name: str, value: object) -> Target:
    return Target(config=Path(str(value))) if name == "config" else Target(database=str(value))


def _require_privacy(url: str, *, insecure_http: bool) -> None:
    """A token opens everything that its scopes name: on the way beyond this machine nobody may read it."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not insecure_http:
        raise click.UsageError(
            "Over http:// everyone on the way could read the token: give an https:// URL, "
            "or --insecure-http in a network that you trust."
        )


def _token(*, from_stdin: bool) -> str:
    """The admin token. Raises ChangeError for what cannot be one, without quoting it."""
    text = read_secret("Admin token") if from_stdin else os.environ.get(TOKEN_VARIABLE, "")
    if not text:
        raise ChangeError(f"Which admin token? Set the variable {TOKEN_VARIABLE}, or give --token-stdin.")
    if not text.startswith(ADMIN_TOKEN_PREFIX) or not text.isascii() or not text.isprintable() or " " in text:
        raise ChangeError(
            f"This is no admin token, which begins with {ADMIN_TOKEN_PREFIX}: `gguf-gateway tokens create` makes one."
        )
    return text


def _settings(config: Path) -> "Settings":
    from gateway.registry.file_reading import read_settings

    return read_settings(config)
