"""`gguf-gateway keys`: create, list, revoke and rotate."""

from datetime import UTC, datetime, timedelta

import click

from gateway.cli.arguments import MomentArgument, Span
from gateway.cli.output import OutputError, as_json, print_json, print_table, say, when
from gateway.cli.registry.accounts import create_account
from gateway.cli.registry.target import Target, nothing_there, with_target
from gateway.core.account import Key
from gateway.registry.base import ChangeError, SourceError


@click.group()
def keys() -> None:
    """Create, list, revoke and rotate keys. A running gateway follows within a second."""


@keys.command()
@with_target
@click.option("--account", required=True, help="The account it proves.")
@create_account
@click.option("--name", required=True, help="Its name in lists and logs.")
@click.option("--expires-at", type=MomentArgument(), help="When it ends, like 2027-01-01T00:00:00Z; never by default.")
@click.option("--expires-in", type=Span(), help="How long it works from now, like 12h, 90d or 4w.")
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
    as_json: bool,
) -> None:
    """Make a key and print it, only this time."""
    end = _end(expires_at, expires_in)
    key, text = target.change(
        lambda change: change.create_key(account, name, end, create_account=create_account),
        create=create_account,
    )
    _show(target, key, text, as_json)
    if not as_json:
        click.echo(f"{_called(key)}, expires: {when(key.expires_at)}. It is not shown again: keep it now.", err=True)


@keys.command("list")
@with_target
@click.option("--account", help="Only this account's.")
@as_json
def list_(target: Target, account: str | None, as_json: bool) -> None:
    """List all keys, revoked and expired ones too. The text of a key is stored nowhere."""
    now = datetime.now(UTC)
    snapshot = target.snapshot()
    found = sorted((key for key in snapshot.keys.values() if account in {None, key.account}), key=_age)
    if as_json:
        print_json([_listed(key, now) for key in found])
        return
    print_table(
        ("ID", "NAME", "ACCOUNT", "STATE", "EXPIRES", "SUCCESSOR OF"),
        (
            (key.id, key.name, key.account, _state(key, now), when(key.expires_at), key.successor_of or "")
            for key in found
        ),
        empty=nothing_there("key", account, snapshot),
    )


@keys.command()
@with_target
@click.argument("key_id", metavar="ID")
@as_json
def revoke(target: Target, key_id: str, as_json: bool) -> None:
    """Revoke a key now."""
    key = target.change(lambda change: change.revoke_key(key_id))
    if as_json:
        print_json(_listed(key, datetime.now(UTC)))
        return
    say(f"{_called(key)} is revoked.")


@keys.command()
@with_target
@click.argument("key_id", metavar="ID")
@click.option("--grace", type=Span(), default="24h", show_default=True, help="How long the old one still works.")
@click.option(
    "--expires-at",
    type=MomentArgument(),
    help="When the successor ends, like 2027-01-01T00:00:00Z; by default it gets the old one's lifetime, if any.",
)
@click.option("--expires-in", type=Span(), help="How long the successor works from now, like 12h, 90d or 4w.")
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
    """Make a successor, print it, only this time, and let the old key expire."""
    end = _end(expires_at, expires_in)
    key, text, old = target.change(lambda change: change.rotate_key(key_id, grace, end))
    old_one = f" The old one, {old.id}, works until {when(old.expires_at)}."
    _show(target, key, text, as_json, old_one, successor_of=old.id, old_expires_at=old.expires_at)
    if not as_json:
        click.echo(
            f"{_called(key)}, expires: {when(key.expires_at)}. It is not shown again: keep it now.{old_one}", err=True
        )


def _end(expires_at: datetime | None, expires_in: timedelta | None) -> datetime | None:
    """When a key ends, from the one of both options that is given; None for never."""
    if expires_at is not None and expires_in is not None:
        raise click.UsageError("Give either --expires-at or --expires-in, not both.")
    return expires_at if expires_in is None else datetime.now(UTC) + expires_in


def _show(target: Target, key: Key, text: str, as_json: bool, old_one: str = "", **more: object) -> None:
    """Print a new key. One that nobody has seen is revoked again: it would stay valid, and be lost."""
    said = {"id": key.id, "key": text, "name": key.name, "account": key.account, "expires_at": key.expires_at, **more}
    try:
        print_json(said) if as_json else say(text)
    except OutputError as error:
        unseen = f"{error.strerror} {_called(key)} was shown to nobody and"
        try:
            target.change(lambda change: change.revoke_key(key.id))
        except (SourceError, ChangeError) as failure:
            raise OutputError(None, f"{unseen} could not be revoked ({failure}): revoke it.{old_one}") from error
        raise OutputError(None, f"{unseen} is revoked again.{old_one}") from error


def _listed(key: Key, now: datetime) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "account": key.account,
        "state": _state(key, now),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "successor_of": key.successor_of,
    }


def _age(key: Key) -> tuple[float, str]:
    return key.created_at.timestamp() if key.created_at is not None else 0.0, key.id


def _state(key: Key, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "valid" if key.is_valid(now) else "expired"


def _called(key: Key) -> str:
    return f"Key {key.id} ({key.name}) of account {key.account}"
