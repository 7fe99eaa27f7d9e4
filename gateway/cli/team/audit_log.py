"""`gguf-gateway audit`: who did what to what, the newest first."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.arguments import Span
from gateway.cli.output import print_table, say, when
from gateway.cli.registry.shared_options import request_of
from gateway.cli.registry.target import Target, with_target
from gateway.team.models.audit import AuditQuery, AuditRow

if TYPE_CHECKING:
    from gateway.cli.client.team_client import TeamClient


@click.command()
@with_target
@click.option("--since", type=Span(), help="Only what was done in this time until now, like 24h or 7d.")
@click.option(
    "--actor", metavar="ID", help="Only what this person or token did; `machine` for commands on the machine."
)
@click.option("--action", help="Only this action, like keys.create.")
@click.option("--target", "changed", metavar="ID", help="Only what was done to this.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each, with what was before and after.")
def audit(
    target: Target,
    /,
    *,
    since: timedelta | None,
    actor: str | None,
    action: str | None,
    changed: str | None,
    as_json: bool,
) -> None:
    """Read the audit log, the newest first: who did what to what, by which way, and when. No secret is in it."""
    begin = None if since is None else datetime.now(UTC) - since
    query = request_of(AuditQuery, {"since": begin, "actor": actor, "action": action, "target": changed})
    if as_json:
        target.run(lambda client: _print_lines(client, query))
        return
    print_table(
        ("WHEN", "WHO", "BY", "FROM", "WHAT", "TO WHAT", "ACCOUNT", "CHANGED"),
        [_row(one) for one in target.every("audit.list", query)],
        empty="Nothing was done.",
    )


async def _print_lines(client: "TeamClient", query: AuditQuery) -> None:
    """Page by page: a log may be longer than what fits into memory."""
    async for page in client.pages("audit.list", query):
        for one in page:
            say(one.model_dump_json())


def _row(one: AuditRow) -> tuple[str, ...]:
    changed = _differing(one.before or {}, one.after or {}) if one.before is not None and one.after is not None else ""
    who = one.actor_name if one.actor_kind == "machine" else f"{one.actor_name} ({one.actor})"
    return when(one.at), who, one.face, one.address or "", one.action, one.target, one.account or "", changed


def _differing(before: dict[str, Any], after: dict[str, Any]) -> str:
    names = [name for name in after if name != "version"]
    return "; ".join(f"{name}: {_short(before.get(name))} -> {_short(after[name])}" for name in names)


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
