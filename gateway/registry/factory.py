"""Which registry a configuration asks for."""

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.server_settings import Server
from gateway.core.deployment import Limits, Timeouts
from gateway.registry.base import Registry
from gateway.registry.file_content import Configuration
from gateway.registry.yaml_file import YamlRegistry

if TYPE_CHECKING:
    from gateway.registry.database.database_registry import SqlRegistry


def registry_of(configuration: Configuration, path: Path) -> Registry:
    """The registry of the configuration file at `path`, not yet open. Raises SourceError for an invalid URL.

    A relative path in `database` starts at the configuration's folder, wherever the gateway is started from.
    """
    if configuration.database is None:
        return YamlRegistry(path, hosts=configuration.server.host, before=configuration.file)
    return database_of(configuration.database, configuration.server, path)


def database_of(database: str, server: Server, path: Path) -> "SqlRegistry":
    """The database that the configuration file at `path` names, with its server's defaults, not yet open."""
    from gateway.registry.database.database_registry import SqlRegistry
    from gateway.registry.database.rows import Defaults
    from gateway.registry.database.sqlite_file import place_of

    return SqlRegistry(place_of(database, path.parent), Defaults(*defaults_of(server)))


def defaults_of(server: Server) -> tuple[Timeouts, Limits]:
    """What holds where a deployment sets nothing of its own."""
    given = server.timeouts
    timeouts = Timeouts(given.connect, given.first_byte, given.silence, given.queue, given.longest_wait)
    return timeouts, Limits(server.limits.connections, server.limits.waiting)
