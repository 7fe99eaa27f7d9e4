"""`gguf-gateway keys`: create, change, list, revoke and rotate."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from gateway.cli.arguments import Span
from gateway.cli.output import as_json, print_json, print_table, say, when
from gateway.cli.registry.accounts import create_account, nothing_there, offering_new
from gateway.cli.registry.changes import say_changed
from gateway.cli.registry.key_limits import WITHOUT, changed_of, in_words, key_limits, limits_in_words, limits_of, turns
from gateway.cli.registry.shared_options import end_of, ends, pointing_to, request_of
from gateway.cli.registry.shown_once import show
from gateway.cli.registry.target import Target, with_target
from gateway.team.models.keys import (
    CreatedKey,
    Key,
    KeyChange,
    KeyQuery,
    KeyRevocation,
    KeyRotation,
    NewKey,
    RotatedKey,
)

if TYPE_CHECKING:
    from gateway.cli.client.team_client import TeamClient

_LISTING = "keys list"


@click.group()
def keys() -> None:
    """Create, change, list, revoke and rotate keys. A running gateway follows within a second."""


@keys.command()
@with_target
@click.option("--account", required=True, help="The account it proves.")
@create_account
@click.option("--name", required=True, help="Its name in lists and logs.")
@ends("the key")
@key_limits
@turns
@as_json
def create(
    target: Target,
    /,
    *,
    account: str,
    create_account: bool,
    name: str,
    expires_at: datetime | None,
    expires_in: timedelta | None,
    priority: str | None,
    weight: float | None,
    as_json: bool,
    **limits: tuple[str, ...],
) -> None:
    """Make a key and print it, only this time."""
    limited = limits_of(limits)
    limited |= {name: value for name, value in (("priority", priority), ("weight", weight)) if value is not None}
    asked = {"account": account, "name": name, "expires_at": end_of(expires_at, expires_in), **limited}
    new = request_of(NewKey, asked, {"account": "account", "name": "name", "weight": "weight"})
    with offering_new(account):
        made: CreatedKey = target.perform(
            "keys.create", request=new, make_account=account if create_account else None, create=create_account
        )
    _show(target, made, as_json, limited)


@keys.command("set")
@with_target
@click.argument("key_id", metavar="ID")
@click.option("--name", help="Its name in lists and logs.")
@click.option("--enable/--disable", "enabled", default=None, help="Switch it on again, or off until then.")
@ends("the key", "as it was, if neither is given")
@click.option("--never-expires", is_flag=True, help="Let it work until it is revoked.")
@key_limits
@turns
@click.option("--unset", multiple=True, type=click.Choice(WITHOUT), help="Take this limit away; may be repeated.")
@as_json
def set_(
    target: Target,
    /,
    *,
    key_id: str,
    name: str | None,
    enabled: bool | None,
    expires_at: datetime | None,
    expires_in: timedelta | None,
    never_expires: bool,
    unset: tuple[str, ...],
    priority: str | None,
    weight: float | None,
    as_json: bool,
    **limits: tuple[str, ...],
) -> None:
    """Change what is named, and nothing else. The limits that are given replace those of their kind."""
    end = end_of(expires_at, expires_in)
    if never_expires and end is not None:
        raise click.UsageError("--never-expires contradicts the end given for it.")
    given = {"name": name, "enabled": enabled, "expires_at": end, "priority": priority, "weight": weight}
    asked = {name: value for name, value in given.items() if value is not None} | limits_of(limits, unset)
    if never_expires:
        asked["expires_at"] = None
    if not asked:
        raise click.UsageError("Nothing to change: name a setting, like --disable, or --unset NAME.")
    request = request_of(KeyChange, asked, {"name": "name", "weight": "weight"})
    with pointing_to(_LISTING):
        before, after = target.run(lambda client: client.change("keys", key_id, request))
    say_changed(_called(before), key_id, changed_of(before, after), as_json, in_words)


@keys.command("list")
@with_target
@click.option("--account", help="Only this account's.")
@as_json
def list_(target: Target, account: str | None, as_json: bool) -> None:
    """List all keys, revoked and expired ones too. The text of a key is stored nowhere."""
    found, empty = target.run(lambda client: _found(client, account))
    if as_json:
        print_json([_listed(key) for key in found])
        return
    print_table(
        ("ID", "NAME", "ACCOUNT", "STATE", "EXPIRES", "LAST USED", "LIMITS", "SUCCESSOR OF"),
        [_row(key) for key in found],
        empty=empty,
    )


@keys.command()
@with_target
@click.argument("key_id", metavar="ID")
@click.option("--now", is_flag=True, help="Break off the answers that run on it, too.")
@as_json
def revoke(target: Target, key_id: str, now: bool, as_json: bool) -> None:
    """Revoke a key. Answers that run on it are finished, unless --now is given."""
    with pointing_to(_LISTING):
        key: Key = target.perform("keys.revoke", key_id, request=KeyRevocation(now=now))
    if as_json:
        print_json(_listed(key))
        return
    say(f"{_called(key)} is revoked{', and answers that ran on it are broken off' if now else ''}.")


@keys.command()
@with_target
@click.argument("key_id", metavar="ID")
@click.option("--grace", type=Span(), default="24h", show_default=True, help="How long the old one still works.")
@ends("the successor", "by default it gets the old one's lifetime, if any")
@as_json
def rotate(
    target: Target,
    /,
    *,
    key_id: str,
    grace: timedelta,
    expires_at: datetime | None,
    expires_in: timedelta | None,
    as_json: bool,
) -> None:
    """Make a successor with the same limits, print it, only this time, and let the old key expire."""
    rotation = KeyRotation(grace_seconds=grace, expires_at=end_of(expires_at, expires_in))
    with pointing_to(_LISTING):
        made: RotatedKey = target.perform("keys.rotate", key_id, request=rotation)
    old_one = f" The old one, {key_id}, works until {when(made.old_expires_at)}."
    _show(target, made, as_json, {"successor_of": key_id, "old_expires_at": made.old_expires_at}, old_one)


def _show(target: Target, made: CreatedKey, as_json: bool, more: Mapping[str, object], old_one: str = "") -> None:
    said = {"id": made.id, "key": made.key, "name": made.name, "account": made.account, "expires_at": made.expires_at}
    show(
        {**said, **more},
        "key",
        as_json,
        called=_called(made),
        take_back=lambda: target.perform("keys.revoke", made.id, request=KeyRevocation()),
        more=old_one,
    )
    if not as_json:
        click.echo(
            f"{_called(made)}, expires: {when(made.expires_at)}. It is not shown again: keep it now.{old_one}", err=True
        )


async def _found(client: "TeamClient", account: str | None) -> tuple[list[Key], str]:
    """Those asked for, and what to say if there are none."""
    found = await client.every("keys.list", request_of(KeyQuery, {"account": account}))
    return found, "" if found else await nothing_there(client, "key", account)


def _row(key: Key) -> tuple[str, ...]:
    used = when(key.last_used_at, never="")
    limits = limits_in_words(key)
    return key.id, key.name, key.account, key.state, when(key.expires_at), used, limits, key.successor_of or ""


def _listed(key: Key) -> Mapping[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "account": key.account,
        "state": key.state,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "successor_of": key.successor_of,
        "prefix": key.prefix,
        "created_by": key.created_by,
        "last_used_at": key.last_used_at,
        "deployments": key.deployments,
        "endpoints": key.endpoints,
        "networks": key.networks,
        "priority": key.priority,
        "weight": key.weight,
    }


def _called(key: Key) -> str:
    return f"Key {key.id} ({key.name}) of account {key.account}"
