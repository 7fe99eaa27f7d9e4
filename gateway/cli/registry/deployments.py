"""`gguf-gateway deployments`: add, change, list, pause, resume and remove."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from gateway.cli.arguments import gateway_url
from gateway.cli.output import as_json, print_json, print_table, say
from gateway.cli.registry.accounts import nothing_there, offering_new
from gateway.cli.registry.changes import say_changed
from gateway.cli.registry.deployment_changes import change_of, changed_of, in_json, in_words
from gateway.cli.registry.deployment_settings import WITH_DEFAULT, deployment_of, deployment_settings, given
from gateway.cli.registry.live_readiness import LiveReadiness, ask
from gateway.cli.registry.target import Target, with_target
from gateway.core.deployment import Limits, Timeouts
from gateway.registry.factory import defaults_of
from gateway.team.models.common import Answer
from gateway.team.models.deployments import Deployment, DeploymentQuery

if TYPE_CHECKING:
    from gateway.cli.client.team_client import TeamClient

A = TypeVar("A", bound=Answer)

# What a deployment cannot be without. `set` changes it only where it is named, and then it is given.
_UNNAMED = {"account": "unnamed", "upstream": "http://unnamed"}


@click.group()
def deployments() -> None:
    """Add, change, list, pause, resume and remove deployments. A running gateway follows within a second."""


@deployments.command()
@with_target
@click.argument("deployment_id", metavar="ID")
@deployment_settings(required=True)
@as_json
def add(target: Target, /, *, deployment_id: str, create_account: bool, as_json: bool, **options: object) -> None:
    """Add a deployment."""
    new = deployment_of(deployment_id, given(options), from_afar=target.server is not None)
    with offering_new(new.account):
        target.perform(
            "deployments.create",
            request=new,
            make_account=new.account if create_account else None,
            create=create_account,
        )
    _say(as_json, deployment_id, "added", f"Its base URL ends in /api/gguf/{deployment_id}")


@deployments.command("set")
@with_target
@click.argument("deployment_id", metavar="ID")
@deployment_settings(required=False)
@click.option(
    "--unset", multiple=True, type=click.Choice(WITH_DEFAULT), help="Give it its default again; may be repeated."
)
@as_json
def set_(
    target: Target,
    /,
    *,
    deployment_id: str,
    create_account: bool,
    unset: tuple[str, ...],
    as_json: bool,
    **options: object,
) -> None:
    """Change the settings that are named, and no others. Answers under way are finished as they began."""
    settings = given(options)
    both = [name for name in unset if name.replace("-", "_") in settings]
    if both:
        raise click.UsageError(f"--unset {both[0]} contradicts the value given for it.")
    defaulted = {name.replace("-", "_") for name in unset}
    names = {*settings, *defaulted}
    if not names:
        raise click.UsageError("Nothing to change: name a setting, like --upstream URL, or --unset NAME.")
    new = deployment_of("unnamed", {**_UNNAMED, **settings}, from_afar=target.server is not None)
    request = change_of(settings, defaulted)
    account = new.account if create_account and "account" in names else None
    with offering_new(new.account):
        before, after = target.run(
            lambda client: client.change("deployments", deployment_id, request, make_account=account)
        )
    changed = changed_of(before, after, names)
    called = f"Deployment {deployment_id}"
    say_changed(called, deployment_id, in_json(changed) if as_json else changed, as_json, in_words)


@deployments.command("list")
@with_target
@click.option("--account", help="Only this account's.")
@click.option(
    "--gateway",
    metavar="URL",
    callback=gateway_url,
    help="The running gateway to ask for READINESS; by default the one that --config configures.",
)
@as_json
def list_(target: Target, account: str | None, gateway: str | None, as_json: bool) -> None:
    """List all deployments; of a running gateway, too, what clients of each meet now."""
    found, empty = target.run(lambda client: _found(client, account))
    live = _readiness(target, gateway, found)
    shown = _with_defaults(target, found)
    if as_json:
        print_json([_listed(one, live.statuses.get(one.id)) for one in shown])
    else:
        print_table(
            ("ID", "ACCOUNT", "STATUS", "READINESS", "UPSTREAM", "UPSTREAM KEY"),
            [_row(one, live.statuses.get(one.id, "-")) for one in shown],
            empty=empty,
        )
    said = live.unknown or _not_served([one.id for one in found if one.id not in live.statuses])
    if said:
        click.echo(said, err=True)


@deployments.command()
@with_target
@click.argument("deployment_id", metavar="ID")
@as_json
def pause(target: Target, deployment_id: str, as_json: bool) -> None:
    """Answer 503 (paused) until it is resumed; answers under way are finished."""
    target.perform("deployments.pause", deployment_id)
    _say(as_json, deployment_id, "paused")


@deployments.command()
@with_target
@click.argument("deployment_id", metavar="ID")
@as_json
def resume(target: Target, deployment_id: str, as_json: bool) -> None:
    """Let its probes decide again whether it is ready."""
    target.perform("deployments.resume", deployment_id)
    _say(as_json, deployment_id, "resumed")


@deployments.command()
@with_target
@click.argument("deployment_id", metavar="ID")
@as_json
def remove(target: Target, deployment_id: str, as_json: bool) -> None:
    """Forget it; answers under way are finished."""
    target.perform("deployments.remove", deployment_id)
    _say(as_json, deployment_id, "removed")


def _say(as_json: bool, deployment_id: str, done: str, more: str = "") -> None:
    if as_json:
        print_json({"id": deployment_id, "done": done})
    else:
        say(f"Deployment {deployment_id} is {done}. {more}".rstrip())


def _not_served(missing: list[str]) -> str:
    """The sentence about deployments that a gateway does not name; nothing if there are none."""
    others = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    return f"The gateway that answers does not serve {', '.join(missing[:3])}{others} (yet)." if missing else ""


async def _found(client: "TeamClient", account: str | None) -> tuple[list[Deployment], str]:
    """Those asked for, and what to say if there are none."""
    found = await client.every("deployments.list", DeploymentQuery.model_validate({"account": account}))
    return found, "" if found else await nothing_there(client, "deployment", account)


def _readiness(target: Target, gateway: str | None, found: Sequence[Deployment]) -> LiveReadiness:
    if not found:
        return LiveReadiness()
    if target.server is not None and gateway is None:  # it has said so itself
        return LiveReadiness({one.id: one.readiness for one in found if one.readiness is not None})
    return ask(gateway, target.configured_server())


def _with_defaults(target: Target, found: Sequence[Deployment]) -> list[Deployment]:
    """With the server's defaults in place of null, where it is known which server that is."""
    if target.server is not None:
        return list(found)
    server = target.configured_server()
    timeouts, limits = (Timeouts(), Limits()) if server is None else defaults_of(server)
    return [
        one.model_copy(update={"timeouts": _filled(one.timeouts, timeouts), "limits": _filled(one.limits, limits)})
        for one in found
    ]


def _filled(given: A, default: object) -> A:
    return given.model_copy(update={name: getattr(default, name) for name, value in given if value is None})


def _row(one: Deployment, readiness: str) -> tuple[str, ...]:
    return one.id, one.account, one.status, readiness, one.upstream or "", "set" if one.has_upstream_key else ""


def _listed(one: Deployment, readiness: str | None) -> dict[str, object]:
    return {
        "id": one.id,
        "account": one.account,
        "status": str(one.status),
        "readiness": readiness,
        "upstream": one.upstream,
        "has_upstream_key": one.has_upstream_key,
        "timeouts": one.timeouts.model_dump(),
        "limits": one.limits.model_dump(),
        "ping": one.ping,
        "ca_file": one.ca_file,
        "endpoints": list(one.endpoints),
    }
