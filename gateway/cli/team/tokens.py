"""`gguf-gateway tokens`: admin tokens, by which programs use the admin API."""

from datetime import datetime, timedelta

import click

from gateway.cli.output import as_json, print_json, print_table, say, when
from gateway.cli.registry.shared_options import end_of, ends, pointing_to, request_of
from gateway.cli.registry.shown_once import show
from gateway.cli.registry.target import Target, with_target
from gateway.team.models.common import PageQuery
from gateway.team.models.tokens import AdminToken, CreatedToken, NewToken
from gateway.team.scopes import SCOPES


@click.group()
def tokens() -> None:
    """Create, list and revoke admin tokens, which open the admin API. A key opens none of it, nor a token a model."""


@tokens.command()
@with_target
@click.option("--name", required=True, help="Its name in lists and in the audit log.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    metavar="SCOPE",
    help=f"What it may do; may be repeated: {', '.join(SCOPES)} (* is everything).",
)
@ends("the token")
@as_json
def create(
    target: Target,
    /,
    *,
    name: str,
    scopes: tuple[str, ...],
    expires_at: datetime | None,
    expires_in: timedelta | None,
    as_json: bool,
) -> None:
    """Make an admin token and print it, only this time."""
    asked = {"name": name, "scopes": scopes, "expires_at": end_of(expires_at, expires_in)}
    made: CreatedToken = target.perform("tokens.create", request=request_of(NewToken, asked))
    said = {"id": made.id, "token": made.token, "name": made.name, "scopes": made.scopes}
    show(
        {**said, "expires_at": made.expires_at},
        "token",
        as_json,
        called=_called(made),
        take_back=lambda: target.perform("tokens.revoke", made.id),
    )
    if not as_json:
        click.echo(f"{_called(made)}, expires: {when(made.expires_at)}. It is not shown again: keep it now.", err=True)


@tokens.command("list")
@with_target
@as_json
def list_(target: Target, as_json: bool) -> None:
    """List all admin tokens, revoked and expired ones too. The text of a token is stored nowhere."""
    found: list[AdminToken] = target.every("tokens.list", PageQuery())
    if as_json:
        print_json([_listed(one) for one in found])
        return
    print_table(
        ("ID", "NAME", "STATE", "SCOPES", "EXPIRES", "BEGINS WITH"),
        [(one.id, one.name, one.state, ", ".join(one.scopes), when(one.expires_at), one.prefix) for one in found],
        empty="There is no admin token.",
    )


@tokens.command()
@with_target
@click.argument("token_id", metavar="ID")
@as_json
def revoke(target: Target, token_id: str, as_json: bool) -> None:
    """Revoke an admin token now."""
    with pointing_to("tokens list"):
        token: AdminToken = target.perform("tokens.revoke", token_id)
    if as_json:
        print_json(_listed(token))
    else:
        say(f"{_called(token)} is revoked.")


def _listed(one: AdminToken) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "state": one.state,
        "scopes": one.scopes,
        "created_by": one.created_by,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "revoked_at": one.revoked_at,
        "prefix": one.prefix,
    }


def _called(one: AdminToken) -> str:
    return f"Token {one.id} ({one.name})"
