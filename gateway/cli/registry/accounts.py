"""`gguf-gateway accounts`: add, list and remove."""

from collections import Counter
from datetime import UTC, datetime

import click

from gateway.cli.output import as_json, print_json, print_table, say, when
from gateway.cli.registry.target import Target, with_target
from gateway.config.validation_messages import counted

create_account = click.option("--create-account", is_flag=True, help="Make the account if there is none of this name.")


@click.group()
def accounts() -> None:
    """Add, list and remove accounts, which own keys and deployments."""


@accounts.command()
@with_target
@click.argument("name", metavar="ACCOUNT")
@as_json
def add(target: Target, name: str, as_json: bool) -> None:
    """Add an account. The database is made if there is none."""
    made = target.change(lambda change: change.add_account(name), create=True)
    if as_json:
        print_json({"id": made.id, "created_at": made.created_at})
    else:
        say(f"Account {made.id} is added.")


@accounts.command("list")
@with_target
@as_json
def list_(target: Target, as_json: bool) -> None:
    """List all accounts. Keys that were revoked or have expired are not counted."""
    now, snapshot = datetime.now(UTC), target.snapshot()
    keys = Counter(key.account for key in snapshot.keys.values() if key.is_valid(now))
    deployments = Counter(one.account for one in snapshot.deployments.values())
    listed = [
        (one.id, keys[one.id], deployments[one.id], one.created_at) for _, one in sorted(snapshot.accounts.items())
    ]
    if as_json:
        print_json([dict(zip(("id", "valid_keys", "deployments", "created_at"), one, strict=True)) for one in listed])
        return
    print_table(
        ("ACCOUNT", "VALID KEYS", "DEPLOYMENTS", "CREATED"),
        [(name, str(valid), str(served), when(created, never="")) for name, valid, served, created in listed],
        empty="There is no account.",
    )


@accounts.command()
@with_target
@click.argument("name", metavar="ACCOUNT")
@as_json
def remove(target: Target, name: str, as_json: bool) -> None:
    """Forget an account that owns nothing.

    It must have neither deployments nor valid keys; keys of it that were revoked or have expired go with it.
    """
    removed = target.change(lambda change: change.remove_account(name))
    if as_json:
        print_json({"id": removed.id, "done": "removed", "ended_keys": removed.ended_keys})
        return
    with_it = f", and {counted(removed.ended_keys, 'ended key')} of it" if removed.ended_keys else ""
    say(f"Account {removed.id} is removed{with_it}.")
