"""`gguf-gateway invitations`: list and remove. `gguf-gateway people invite` makes one."""

import click

from gateway.cli.output import as_json, print_json, print_table, say, when
from gateway.cli.registry.shared_options import pointing_to
from gateway.cli.registry.target import Target, with_target
from gateway.team.models.common import PageQuery
from gateway.team.models.people import Invitation


@click.group()
def invitations() -> None:
    """List invitations and take them back. `gguf-gateway people invite` makes one."""


@invitations.command("list")
@with_target
@as_json
def list_(target: Target, as_json: bool) -> None:
    """List invitations that may still be used."""
    found: list[Invitation] = target.every("invitations.list", PageQuery())
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "name": one.name,
                    "email": one.email,
                    "role": str(one.role),
                    "accounts": one.accounts,
                    "created_at": one.created_at,
                    "expires_at": one.expires_at,
                }
                for one in found
            ]
        )
        return
    print_table(
        ("ID", "NAME", "ROLE", "ACCOUNTS", "E-MAIL", "EXPIRES"),
        [(one.id, one.name, one.role, ", ".join(one.accounts), one.email or "", when(one.expires_at)) for one in found],
        empty="Nobody is invited.",
    )


@invitations.command()
@with_target
@click.argument("invitation_id", metavar="ID")
@as_json
def remove(target: Target, invitation_id: str, as_json: bool) -> None:
    """Take an invitation back: its link opens nothing any more."""
    with pointing_to("invitations list"):
        removed: Invitation = target.perform("invitations.remove", invitation_id)
    if as_json:
        print_json({"id": removed.id, "done": "removed"})
    else:
        say(f"The invitation of {removed.name} is removed.")
