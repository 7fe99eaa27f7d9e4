"""`gguf-gateway import`: from a YAML file into a database."""

from pathlib import Path

import click

from gateway.cli.arguments import FILE
from gateway.cli.output import as_json, print_json, say
from gateway.cli.registry.target import Target, with_local_target
from gateway.registry.base import ChangeError


@click.command("import")
@with_local_target
@click.argument("file", type=FILE)
@click.option("--overwrite", is_flag=True, help="Change deployments that differ to what FILE says, their status too.")
@as_json
def import_(target: Target, file: Path, overwrite: bool, as_json: bool) -> None:
    """Take the accounts, keys and deployments of FILE over into a database, all or nothing.

    What is in the database already stays; doing it twice changes nothing. A deployment that differs from FILE is
    named, and kept as it is unless --overwrite is given; a key is kept in any case. Plain keys are stored as their
    SHA-256.
    """
    from gateway.registry.file_reading import read_settings

    settings = read_settings(file)
    if settings.database is not None:
        raise ChangeError(f"{file} names a database itself; there is nothing in it to import.")
    done = target.import_settings(settings, str(file), overwrite=overwrite)
    if as_json:
        print_json({name: getattr(done, name) for name in done.__slots__})
        return
    say(
        f"Keys: {done.keys_added} added, {done.keys_known} already there. "
        f"Deployments: {done.deployments_added} added, {done.deployments_known} already there."
    )
    for name, columns in done.deployments_kept.items():
        say(f"Kept, though it differs from the file: {name} ({', '.join(columns)}).")
    for name, columns in done.deployments_overwritten.items():
        say(f"Overwritten with what the file says: {name} ({', '.join(columns)}).")
