"""`gguf-gateway check`: would the gateway start with this file, and with what."""

import asyncio
import sys
from pathlib import Path

import click

from gateway.cli.arguments import FILE
from gateway.cli.output import as_json, print_json, say
from gateway.config.document import SourceError
from gateway.config.settings import Admin, Server, Settings
from gateway.registry.factory import cautions
from gateway.registry.yaml_file import content_of, read_settings


@click.command()
@click.option("--config", "path", required=True, type=FILE, envvar="GGUF_GATEWAY_CONFIG", show_envvar=True)
@as_json
def check(path: Path, as_json: bool) -> None:
    """Report everything that is wrong with a configuration file, each error with file, line and field.

    Exit code 1 if there is an error. Nothing is changed, and no upstream is asked.
    """
    try:
        settings = read_settings(path)
        _check_database(settings, path)
    except SourceError as error:
        if not as_json:
            raise
        print_json({"ok": False, "errors": error.lines})
        sys.exit(1)
    warnings = cautions(settings, path)
    if as_json:
        print_json({"ok": True, **_counts(settings), "warnings": warnings})
        return
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
    say(f"{path} is good: {_summary(settings)}.")


def _check_database(settings: Settings, path: Path) -> None:
    """Whether the gateway could use the database, which it would migrate and this does not."""
    if settings.database is None:
        return
    from gateway.registry.database import migrate
    from gateway.registry.database.engine import database_url
    from gateway.registry.database.sqlite_file import place_of

    asyncio.run(migrate.check(database_url(place_of(settings.database, path.parent))))


def _counts(settings: Settings) -> dict[str, object]:
    return {
        "address": _address(settings.server),
        "admin_address": None if settings.server.admin is None else _address(settings.server.admin),
        "registry": "file" if settings.database is None else "database",
        "accounts": len(settings.accounts),
        "keys": sum(len(account.keys) for account in settings.accounts.values()),
        "deployments": len(settings.deployments),
    }


def _address(server: Server | Admin) -> str:
    return ", ".join(f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}" for host in server.host)


def _summary(settings: Settings) -> str:
    address = f"listens on {_address(settings.server)}"
    if settings.server.admin is not None:
        address += f", for the operator on {_address(settings.server.admin)}"
    if settings.database is not None:
        return f"{address}, accounts and deployments in a database"
    return f"{address}, {content_of(settings)}"
