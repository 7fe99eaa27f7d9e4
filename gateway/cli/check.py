"""`gguf-gateway check`: would the gateway start with this file, and with what."""

import asyncio
import os
import sys
from pathlib import Path

import click

from gateway.cli.arguments import FILE
from gateway.cli.output import as_json, print_json, say
from gateway.config.cross_field_rules import check_granted_accounts
from gateway.config.document import SourceError
from gateway.config.server_settings import Admin, Server
from gateway.config.settings import Settings
from gateway.config.yaml_reader import read_yaml
from gateway.registry.file_content import content_of
from gateway.registry.file_reading import read_settings
from gateway.registry.start_configuration import cautions


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

    place = place_of(settings.database, path.parent)
    asyncio.run(migrate.check(database_url(place)))
    if settings.server.sign_in.oidc is not None:
        document = read_yaml(path.read_text(encoding="utf-8-sig"), str(path), os.environ)
        check_granted_accounts(document, asyncio.run(_accounts_in(place)))
        document.raise_errors()


async def _accounts_in(place: str | Path) -> set[str]:
    from gateway.team.operations.accounts import names_of_accounts
    from gateway.team.unit_of_work import TeamDatabase

    database = TeamDatabase(place)
    try:
        async with database.connect() as connection:
            return await names_of_accounts(connection)
    finally:
        await database.close()


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
    return f"{address}, {content_of(settings).in_numbers()}"
