"""`gguf-gateway accounts`: add, change, list and remove."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from gateway.cli.output import as_json, print_json, print_table, say, when
from gateway.cli.registry.shared_options import request_of
from gateway.cli.registry.target import Target, with_target
from gateway.config.document import counted
from gateway.config.validation_messages import suggested
from gateway.registry.base import ChangeError
from gateway.team.models.accounts import Account, AccountChange, NewAccount, RemovedAccount
from gateway.team.models.common import PageQuery
from gateway.team.models.deployments import DeploymentQuery
from gateway.team.models.keys import KeyQuery
from gateway.team.operation_error import Denied, Invalid

if TYPE_CHECKING:
    from gateway.cli.client.team_client import TeamClient

create_account = click.option("--create-account", is_flag=True, help="Make the account if there is none of this name.")
_Row = tuple[Account, int, int]  # its valid keys, its deployments


@click.group()
def accounts() -> None:
    """Add, change, list and remove accounts, which own keys and deployments."""


@accounts.command()
@with_target
@click.argument("name", metavar="ACCOUNT")
@as_json
def add(target: Target, name: str, as_json: bool) -> None:
    """Add an account. The database is made if there is none."""
    made: Account = target.perform(
        "accounts.create", request=request_of(NewAccount, {"id": name}, {"id": "account"}), create=True
    )
    if as_json:
        print_json({"id": made.id, "created_at": made.created_at})
    else:
        say(f"Account {made.id} is added.")


@accounts.command("set")
@with_target
@click.argument("name", metavar="ACCOUNT")
@click.option("--weight", type=float, required=True, metavar="N", help="Its share in line beside other accounts.")
@as_json
def set_(target: Target, name: str, weight: float, as_json: bool) -> None:
    """Change an account's share where requests wait in line: 1 by default."""
    request = request_of(AccountChange, {"weight": weight}, {"weight": "weight"})
    changed: Account = target.perform("accounts.change", name, request=request)
    if as_json:
        print_json({"id": changed.id, "weight": changed.weight})
    else:
        say(f"Account {changed.id} has the weight {changed.weight:g}.")


@accounts.command("list")
@with_target
@as_json
def list_(target: Target, as_json: bool) -> None:
    """List all accounts. Keys that are off, were revoked or have expired are not counted."""
    listed = target.run(_counted)
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "valid_keys": valid,
                    "deployments": served,
                    "created_at": one.created_at,
                    "weight": one.weight,
                }
                for one, valid, served in listed
            ]
        )
        return
    print_table(
        ("ACCOUNT", "VALID KEYS", "DEPLOYMENTS", "CREATED"),
        [(one.id, str(valid), str(served), when(one.created_at, never="")) for one, valid, served in listed],
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
    removed: RemovedAccount = target.perform("accounts.remove", name)
    if as_json:
        print_json({"id": removed.id, "done": "removed", "ended_keys": removed.ended_keys})
        return
    with_it = f", and {counted(removed.ended_keys, 'ended key')} of it" if removed.ended_keys else ""
    say(f"Account {removed.id} is removed{with_it}.")


@contextmanager
def offering_new(account: str | None) -> Iterator[None]:
    """Say of an account that is not there how it is made."""
    try:
        yield
    except Invalid as error:
        if [one.field for one in error.errors] != ["account"]:
            raise
        raise ChangeError(
            f"{error.message} `gguf-gateway accounts add {account}`, or --create-account, makes a new one."
        ) from error


async def nothing_there(client: "TeamClient", what: str, account: str | None) -> str:
    """What to say where a list, of one account or of all, is empty."""
    if account is None:
        return f"There is no {what}."
    try:
        known = [one.id for one in await client.every("accounts.list", PageQuery())]
    except Denied:  # a token may list the one without the other
        return f"There is no {what} of account {account!r}."
    if account in known:
        return f"Account {account!r} has no {what}."
    return f"There is no account {account!r}{suggested(account, known) or '.'}"


async def _counted(client: "TeamClient") -> list[_Row]:
    found = await client.every("accounts.list", PageQuery())
    keys = Counter(key.account for key in await client.every("keys.list", KeyQuery()) if key.state == "valid")
    deployments = Counter(one.account for one in await client.every("deployments.list", DeploymentQuery()))
    return [(one, keys[one.id], deployments[one.id]) for one in found]
