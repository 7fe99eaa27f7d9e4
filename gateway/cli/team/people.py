"""`gguf-gateway people`: invite, list, change, sign out and remove."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from gateway.cli.arguments import gateway_url
from gateway.cli.output import as_json, print_json, print_table, say, when
from gateway.cli.registry.changes import Changed, say_changed
from gateway.cli.registry.live_readiness import url_of
from gateway.cli.registry.shared_options import request_of
from gateway.cli.registry.shown_once import show
from gateway.cli.registry.target import DEFAULT_URL, Target, with_target
from gateway.config.validation_messages import suggested
from gateway.registry.base import ChangeError
from gateway.team.models.people import CreatedInvitation, NewInvitation, Person, PersonChange, PersonQuery
from gateway.team.roles import Role

if TYPE_CHECKING:
    from gateway.cli.client.team_client import TeamClient

_CHANGED = ("name", "email", "role", "accounts", "enabled")
_IS_ID = re.compile(r"per_[0-9a-f]{12}").fullmatch
_ACCOUNT_HELP = "An account they belong to; may be repeated."
_ROLES = click.Choice([str(role) for role in Role])


@click.group()
def people() -> None:
    """Invite people, list, change and remove them. PERSON is somebody's name or id."""


@people.command()
@with_target
@click.option("--name", required=True, help="What lists and the audit log will call them; each name once.")
@click.option("--admin", is_flag=True, help="As an admin, who sees and changes everything; else as a member.")
@click.option("--account", "accounts", multiple=True, help=_ACCOUNT_HELP)
@click.option("--email", help="By which a sign-in by OpenID Connect finds them.")
@click.option(
    "--url",
    callback=gateway_url,
    help=f"Where they reach the gateway's pages; by default where --config says, or else {DEFAULT_URL}.",
)
@as_json
def invite(
    target: Target,
    /,
    *,
    name: str,
    admin: bool,
    accounts: tuple[str, ...],
    email: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Print a link by which somebody signs in for the first time and chooses a password.

    It works once, within a day. With --admin the database is made if there is none.
    """
    if url is not None and target.server is not None:
        raise click.UsageError("--url is for --config and --database: a gateway knows its own.")
    role = Role.ADMIN if admin else Role.MEMBER
    new = request_of(NewInvitation, {"name": name, "email": email, "role": role, "accounts": accounts})
    made: CreatedInvitation = target.run(
        lambda client: client.perform("invitations.create", request=new),
        create=admin,
        base_url=url or _pages_url(target),
    )
    _show(target, made, as_json)


@people.command("list")
@with_target
@as_json
def list_(target: Target, as_json: bool) -> None:
    """List all who can sign in. Who is invited and has not come yet: `gguf-gateway invitations list`."""
    found = target.every("people.list", PersonQuery())
    if as_json:
        print_json([_listed(one) for one in found])
        return
    print_table(
        ("NAME", "ROLE", "STATE", "ACCOUNTS", "E-MAIL", "CREATED", "ID"),
        [_row(one) for one in found],
        empty="There is nobody yet; `gguf-gateway people invite --admin --name NAME` makes a link for the first.",
    )


@people.command("set")
@with_target
@click.argument("person")
@click.option("--name", help="What lists and the audit log call them.")
@click.option("--email", help="By which a sign-in by OpenID Connect finds them.")
@click.option("--role", type=_ROLES, help="What they may do.")
@click.option("--account", "accounts", multiple=True, help=f"{_ACCOUNT_HELP} These replace the ones before.")
@click.option("--enable/--disable", "enabled", default=None, help="Let them sign in, or not: that signs them out, too.")
@click.option("--unset", multiple=True, type=click.Choice(["account", "email"]), help="Take it away; may be repeated.")
@as_json
def set_(
    target: Target,
    /,
    *,
    person: str,
    accounts: tuple[str, ...],
    unset: tuple[str, ...],
    as_json: bool,
    **options: object,
) -> None:
    """Change what is named, and nothing else."""
    asked = {name: value for name, value in {**options, "accounts": accounts or None}.items() if value is not None}
    for name, (field, nothing) in {"account": ("accounts", ()), "email": ("email", None)}.items():
        if name in unset and field in asked:
            raise click.UsageError(f"--unset {name} contradicts the value given for it.")
        if name in unset:
            asked[field] = nothing
    if not asked:
        raise click.UsageError("Nothing to change: name a setting, like --role member, or --unset NAME.")
    request = request_of(PersonChange, asked)

    async def change(client: "TeamClient") -> tuple[Person, Person]:
        return await client.change("people", await _id_of(client, person), request)

    before, after = target.run(change)
    say_changed(_called(before), before.id, _changed_of(before, after), as_json, _in_words)


@people.command("sign-out")
@with_target
@click.argument("person")
@as_json
def sign_out(target: Target, person: str, as_json: bool) -> None:
    """End all sessions of a person, in every browser."""

    async def end(client: "TeamClient") -> str:
        person_id = await _id_of(client, person)
        await client.perform("people.sign_out", person_id)
        return person_id

    person_id = target.run(end)
    if as_json:
        print_json({"id": person_id, "done": "signed out"})
    else:
        say(f"{person} is signed out everywhere.")


@people.command()
@with_target
@click.argument("person")
@as_json
def remove(target: Target, person: str, as_json: bool) -> None:
    """Forget a person and end their sessions. The keys that they made stay: revoke those yourself."""

    async def forget(client: "TeamClient") -> Person:
        removed: Person = await client.perform("people.remove", await _id_of(client, person))
        return removed

    removed = target.run(forget)
    if as_json:
        print_json({"id": removed.id, "done": "removed"})
    else:
        say(f"{_called(removed)} is removed.")


def _show(target: Target, made: CreatedInvitation, as_json: bool) -> None:
    said = {"url": made.url, "id": made.id, "name": made.name, "role": str(made.role), "accounts": made.accounts}
    called = f"The invitation of {made.name} ({made.role})"
    show(
        {**said, "email": made.email, "expires_at": made.expires_at},
        "url",
        as_json,
        called=called,
        take_back=lambda: target.perform("invitations.remove", made.id),
        taken="removed",
        revoke="remove",
    )
    if not as_json:
        until = when(made.expires_at)
        click.echo(f"{called} works once, until {until}. The link is not shown again: send it now.", err=True)


def _pages_url(target: Target) -> str:
    server = target.configured_server()
    if server is None:
        return DEFAULT_URL
    return server.pages_url or url_of(server) or DEFAULT_URL


async def _id_of(client: "TeamClient", person: str) -> str:
    """The id of somebody who is named by it, or by their name. Raises ChangeError."""
    if _IS_ID(person):
        return person
    found = {one.name: one.id for one in await client.every("people.list", PersonQuery())}
    if person not in found:
        raise ChangeError(f"There is nobody called {person!r}{suggested(person, found) or '.'}")
    return str(found[person])


def _changed_of(before: Person, after: Person) -> Changed:
    found = {name: (getattr(before, name), getattr(after, name)) for name in _CHANGED}
    return {name: values for name, values in found.items() if values[0] != values[1]}


def _in_words(name: str, value: object, _before: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ", ".join(map(str, value)) or "none"
        case None:
            return "none"
    return str(value)


def _row(one: Person) -> tuple[str, ...]:
    state = "on" if one.enabled else "off"
    return one.name, one.role, state, ", ".join(one.accounts), one.email or "", when(one.created_at), one.id


def _listed(one: Person) -> Mapping[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "email": one.email,
        "role": str(one.role),
        "accounts": one.accounts,
        "enabled": one.enabled,
        "has_password": one.has_password,
        "created_at": one.created_at,
    }


def _called(one: Person) -> str:
    return f"{one.name} ({one.id})"
