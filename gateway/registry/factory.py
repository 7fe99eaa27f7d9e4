"""Which registry a configuration asks for, and what deserves a warning before it is opened."""

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.settings import Server, Settings, warnings
from gateway.core.deployment import Limits, Timeouts
from gateway.registry.base import Registry
from gateway.registry.yaml_file import YamlRegistry

if TYPE_CHECKING:
    from gateway.registry.database.database_registry import SqlRegistry

# Where the password stands in the URL of a database: before its host, or among its options.
_PASSWORD = re.compile(r"(?<=:)(?!//)[^@]+@|(?:password|passwd)=[^&]+")


def registry_of(settings: Settings, path: Path) -> Registry:
    """The registry of the configuration file at `path`, not yet open. Raises SourceError for an invalid URL.

    A relative path in `database` starts at the configuration's folder, wherever the gateway is started from.
    """
    if settings.database is None:
        return YamlRegistry(path, hosts=settings.server.host)
    return database_of(settings.database, settings.server, path)


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


def cautions(settings: Settings, path: Path) -> tuple[str, ...]:
    """Warnings for the start: keys in plain text, files with secrets that others can read."""
    found = list(warnings(settings))
    text = path.read_text(encoding="utf-8-sig")
    if any(secret in text for secret in _secrets(settings)) and _open_to_others(path):
        found.append(f"{path} holds secrets, and other users of this machine can read it: chmod 600 {path}")
    if settings.database is not None:
        from gateway.registry.database.sqlite_file import place_of

        file = place_of(settings.database, path.parent)
        if isinstance(file, Path) and _open_to_others(file):
            found.append(f"{file} can be read by other users of this machine: chmod 600 {file}")
    return tuple(found)


def _secrets(settings: Settings) -> list[str]:
    """The secrets, as the file would spell them. One that came from the environment is not in the file."""
    keys = [key.key for account in settings.accounts.values() for key in account.keys if key.key]
    upstream_keys = [entry.upstream_key for entry in settings.deployments.values() if entry.upstream_key]
    oidc = settings.server.sign_in.oidc
    client_secrets = [oidc.client_secret] if oidc is not None and oidc.client_secret else []
    return keys + upstream_keys + client_secrets + _PASSWORD.findall(settings.database or "")


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False
