"""`gguf-gateway activity`: the requests under way in a running gateway, which `--server` names."""

import click

from gateway.cli.output import as_json, print_json, print_table, say, when
from gateway.cli.registry.shared_options import pointing_to
from gateway.cli.registry.target import Target, with_target
from gateway.team.models.activity import Activity
from gateway.team.models.common import Page


@click.group()
def activity() -> None:
    """List the requests under way, end them, move them in line. Only a running gateway knows them (--server)."""


@activity.command("list")
@with_target
@as_json
def list_(target: Target, as_json: bool) -> None:
    """List the requests under way, the oldest first."""
    found: Page[Activity] = target.perform("activity.list")
    if as_json:
        print_json([one.model_dump() for one in found.items])
        return
    print_table(
        ("ID", "DEPLOYMENT", "ENDPOINT", "KEY", "PERSON", "SINCE", "BYTES", "IN LINE"),
        [
            (
                *(one.id, one.deployment, one.endpoint, _key(one), one.person or "–"),
                *(when(one.started_at), str(one.bytes), _in_line(one)),
            )
            for one in found.items
        ],
        empty="No request is under way.",
    )


@activity.command()
@with_target
@click.argument("request_id", metavar="ID")
@as_json
def end(target: Target, request_id: str, as_json: bool) -> None:
    """Break a request off, visibly for its client."""
    with pointing_to("activity list"):
        ended: Activity = target.perform("activity.end", request_id)
    if as_json:
        print_json(ended.model_dump())
    else:
        say(f"Request {ended.id} of {_key(ended)} to {ended.deployment} is broken off.")


@activity.command()
@with_target
@click.argument("request_id", metavar="ID")
@as_json
def move(target: Target, request_id: str, as_json: bool) -> None:
    """Let a request that waits in line be the next."""
    with pointing_to("activity list"):
        moved: Activity = target.perform("activity.move", request_id)
    if as_json:
        print_json(moved.model_dump())
    else:
        say(f"Request {moved.id} of {_key(moved)} to {moved.deployment} is the next.")


def _in_line(one: Activity) -> str:
    if one.position is None:
        return ""
    return str(one.position) if one.expected_wait is None else f"{one.position}, {one.expected_wait:.0f} s"


def _key(one: Activity) -> str:
    return one.key_name or one.key
