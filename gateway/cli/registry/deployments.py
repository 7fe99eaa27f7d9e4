"""`gguf-gateway deployments`: add, change, list, pause, resume and remove."""

import click

from gateway.cli.output import as_json, print_json, print_table, say
from gateway.cli.registry.deployment_changes import say_changed
from gateway.cli.registry.deployment_settings import WITH_DEFAULT, deployment_settings, entry_of, given
from gateway.cli.registry.live_readiness import LiveReadiness, ask, gateway_url
from gateway.cli.registry.target import Target, nothing_there, with_target
from gateway.core.deployment import Deployment, Status

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
    entry = entry_of(given(options))
    target.change(
        lambda change: change.add_deployment(deployment_id, entry, create_account=create_account),
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
    names = {*settings, *(name.replace("-", "_") for name in unset)}
    if not names:
        raise click.UsageError("Nothing to change: name a setting, like --upstream URL, or --unset NAME.")
    entry = entry_of({**_UNNAMED, **settings})
    changed = target.change(
        lambda change: change.update_deployment(deployment_id, entry, names, create_account=create_account)
    )
    say_changed(deployment_id, changed, as_json)


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
    snapshot = target.snapshot()
    found = [one for _, one in sorted(snapshot.deployments.items()) if account in {None, one.account}]
    live = ask(gateway, target.server()) if found else LiveReadiness()
    if as_json:
        print_json([_listed(one, live.statuses.get(one.id)) for one in found])
    else:
        print_table(
            ("ID", "ACCOUNT", "STATUS", "READINESS", "UPSTREAM", "UPSTREAM KEY"),
            [_row(one, live.statuses.get(one.id, "-")) for one in found],
            empty=nothing_there("deployment", account, snapshot),
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
    target.change(lambda change: change.set_status(deployment_id, Status.PAUSED))
    _say(as_json, deployment_id, "paused")


@deployments.command()
@with_target
@click.argument("deployment_id", metavar="ID")
@as_json
def resume(target: Target, deployment_id: str, as_json: bool) -> None:
    """Let its probes decide again whether it is ready."""
    target.change(lambda change: change.set_status(deployment_id, Status.AUTO))
    _say(as_json, deployment_id, "resumed")


@deployments.command()
@with_target
@click.argument("deployment_id", metavar="ID")
@as_json
def remove(target: Target, deployment_id: str, as_json: bool) -> None:
    """Forget it; answers under way are finished."""
    target.change(lambda change: change.remove_deployment(deployment_id))
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


def _row(one: Deployment, readiness: str) -> tuple[str, ...]:
    return one.id, one.account, one.status, readiness, one.upstream, "set" if one.upstream_key else ""


def _listed(one: Deployment, readiness: str | None) -> dict[str, object]:
    return {
        "id": one.id,
        "account": one.account,
        "status": str(one.status),
        "readiness": readiness,
        "upstream": one.upstream,
        "has_upstream_key": one.upstream_key is not None,
        "timeouts": {
            "connect": one.timeouts.connect,
            "first_byte": one.timeouts.first_byte,
            "silence": one.timeouts.silence,
            "queue": one.timeouts.queue,
        },
        "limits": {"connections": one.limits.connections, "waiting": one.limits.waiting},
        "ping": one.ping,
        "ca_file": one.ca_file,
        "endpoints": list(one.endpoints),
    }
