"""Which registry a command works on: that of `--config`, or the database of `--database`."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from gateway.cli.arguments import FILE
from gateway.config.validation_messages import suggested
from gateway.registry.base import ChangeError, Snapshot

if TYPE_CHECKING:
    from gateway.config.settings import Server
    from gateway.registry.database.database_registry import SqlRegistry
    from gateway.registry.database.writer import SqlWriter

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """Exactly one of a configuration file and a database."""

    config: Path | None
    database: str | None

    def snapshot(self) -> Snapshot:
        """What the registry says now. Raises SourceError."""
        from gateway.registry.database.database_registry import SqlRegistry
        from gateway.registry.factory import database_of
        from gateway.registry.yaml_file import read_settings, snapshot_of

        if self.config is None:
            return asyncio.run(_snapshot(SqlRegistry(self.database or "")))
        settings = read_settings(self.config)
        if settings.database is None:
            return snapshot_of(settings)
        return asyncio.run(_snapshot(database_of(settings.database, settings.server, self.config)))

    def server(self) -> "Server | None":
        """The `server` section of the configuration; None where only a database is named. Raises SourceError."""
        from gateway.registry.yaml_file import read_settings

        return None if self.config is None else read_settings(self.config).server

    def change(self, make: "Callable[[SqlWriter], Awaitable[T]]", *, create: bool = False) -> T:
        """Make one change in the database; with `create`, in a new one if there is none.

        Raises ChangeError, and SourceError.
        """
        return asyncio.run(_change(self._place(), make, create=create))

    def _place(self) -> Path | str:
        from gateway.registry.database.sqlite_file import place_of
        from gateway.registry.yaml_file import read_settings

        if self.config is None:
            return place_of(self.database or "")
        settings = read_settings(self.config)
        if settings.database is None:
            raise ChangeError(
                f"{self.config} holds its accounts itself: edit it (a running gateway follows within a second), or "
                f"move them into a database: gguf-gateway import {self.config} --database gateway.db"
            )
        return place_of(settings.database, self.config.parent)


def nothing_there(what: str, account: str | None, snapshot: Snapshot) -> str:
    """What to say where a list, of one account or of all, is empty."""
    if account is None:
        return f"There is no {what}."
    if account in snapshot.accounts:
        return f"Account {account!r} has no {what}."
    return f"There is no account {account!r}{suggested(account, snapshot.accounts) or '.'}"


def with_target(command: Callable[Concatenate[Target, P], T]) -> Callable[P, T]:
    """Give a command `--config` and `--database`, and as its first argument what they name."""

    @click.option(
        "--config",
        type=FILE,
        envvar="GGUF_GATEWAY_CONFIG",
        show_envvar=True,
        help="The gateway's YAML file, which names the database.",
    )
    @click.option(
        "--database",
        metavar="URL|FILE",
        envvar="GGUF_GATEWAY_DATABASE",
        show_envvar=True,
        help="The database itself: an SQLite file, or an SQLAlchemy URL.",
    )
    @functools.wraps(command)
    def wrapped(config: Path | None, database: str | None, *args: P.args, **kwargs: P.kwargs) -> T:
        return command(_target(config, database), *args, **kwargs)

    return wrapped  # type: ignore[return-value]  # click fills in the two options


def _target(config: Path | None, database: str | None) -> Target:
    """One of the two; the command line takes precedence over the environment."""
    context = click.get_current_context()
    if config is not None and database is not None:
        typed = {
            name
            for name in ("config", "database")
            if context.get_parameter_source(name) is not ParameterSource.ENVIRONMENT
        }
        if len(typed) != 1:
            raise click.UsageError("Give either --config or --database, not both.")
        config, database = (config, None) if "config" in typed else (None, database)
    if config is None and not database:
        raise click.UsageError("Which registry? Give --config FILE or --database FILE.")
    return Target(config, database)


async def _snapshot(registry: "SqlRegistry") -> Snapshot:
    try:
        await registry.look()
        return registry.snapshot
    finally:
        await registry.close()


async def _change(place: Path | str, make: "Callable[[SqlWriter], Awaitable[T]]", *, create: bool) -> T:
    from gateway.registry.database.writer import writer

    async with writer(place, create=create) as change:
        return await make(change)
