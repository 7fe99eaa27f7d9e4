"""The configuration file as a gateway reads it to start: judged, warned of, and put into values to serve from."""

import re
import stat
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from gateway.config.document import SourceError
from gateway.config.server_settings import Server
from gateway.config.settings import Settings, server_with, warnings
from gateway.config.validation_messages import sentences
from gateway.registry.file_content import Configuration, ReadFile, content_of, read_bytes
from gateway.registry.file_reading import settings_in

# Where the password stands in the URL of a database: before its host, or among its options.
_PASSWORD = re.compile(r"(?<=:)(?!//)[^@]+@|(?:password|passwd)=[^&]+")


def read_configuration(path: Path, hosts: Sequence[str] = (), port: int | None = None) -> Configuration:
    """What the file at `path` says, with the command line's hosts and port in place of its own where they are given.

    Raises SourceError with every error in it.
    """
    raw = read_bytes(path)
    settings = settings_in(raw, path, hosts=hosts)
    file = ReadFile(raw, content_of(settings)) if settings.database is None else None
    if hosts or port is not None:
        settings = _with_options(settings, hosts, port)
    return Configuration(settings.server, settings.database, cautions(settings, path), file)


def cautions(settings: Settings, path: Path) -> tuple[str, ...]:
    """Warnings for the start: keys in plain text, files with secrets that others can read."""
    found = list(warnings(settings))
    text = path.read_text(encoding="utf-8-sig")
    if any(secret in text for secret in _secrets(settings)) and _open_to_others(path):
        found.append(f"{path} holds secrets, and other users of this machine can read it: chmod 600 {path}")
    if settings.database is not None:
        from gateway.registry.database.sqlite_file import place_of

        file = place_of(settings.database, path.parent)
        if isinstance(file, Path):
            found.extend(_open_database(file))
    return tuple(found)


def _open_database(file: Path) -> list[str]:
    """What SQLite keeps beside it has the mode that it had, and holds the same."""
    for one in (file, *(file.with_name(file.name + suffix) for suffix in ("-wal", "-shm"))):
        if _open_to_others(one):
            return [f"{one} can be read by other users of this machine: chmod 600 {file}*"]
    return []


def _with_options(settings: Settings, hosts: Sequence[str], port: int | None) -> Settings:
    given: dict[str, object] = {"host": tuple(hosts)} if hosts else {}
    if port is not None:
        given["port"] = port
    try:
        server = server_with(settings.server, **given)
    except ValidationError as error:
        raise SourceError(*(f"--{path[0]}: {sentence}" for path, sentence in sentences(error, Server))) from error
    return settings.model_copy(update={"server": server})


def _secrets(settings: Settings) -> list[str]:
    """The secrets, as the file would spell them. One that came from the environment is not in the file."""
    keys = [key.key for account in settings.accounts.values() for key in account.keys if key.key]
    upstream_keys = [entry.upstream_key for entry in settings.deployments.values() if entry.upstream_key]
    oidc = settings.server.sign_in.oidc
    client_secrets = [oidc.client_secret] if oidc is not None and oidc.client_secret else []
    return keys + upstream_keys + client_secrets + _PASSWORD.findall(settings.database or "")


def _open_to_others(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
