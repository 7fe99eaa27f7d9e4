"""`gguf-gateway import`: from a YAML file into a database."""

from pathlib import Path

import click

from gateway.cli.output import as_json, print_json
from gateway.cli.target import Target, with_target
from gateway.registry.base import ChangeError


@click.command("import")
@with_target
@click.argument("file", type=click.Path(path_type=Path))
@as_json
def import_(target: Target, file: Path, as_json: bool) -> None:
    """Take the accounts, keys and deployments of FILE over into a database, all or nothing.

    What is in the database already stays; doing it twice changes nothing. Plain keys are stored as their SHA-256.
    """
    from gateway.registry.yaml_file import read_settings

    settings = read_settings(file)
    if settings.database is not None:
        raise ChangeError(f"{file} names a database itself; there is nothing in it to import.")
    done = target.change(lambda change: change.import_settings(settings), create=True)
    if as_json:
        print_json({name: getattr(done, name) for name in done.__slots__})
        return
    click.echo(
        f"{done.keys_added} keys added ({done.keys_known} were there), "
        f"{done.deployments_added} deployments added, {done.deployments_updated} brought up to date."
    )
