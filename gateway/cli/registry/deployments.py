"""`gguf-gateway deployments`: add, list, pause, resume and remove."""

import os

import click
from pydantic import ValidationError

from gateway.cli.output import as_json, print_json, print_table, say
from gateway.cli.registry.accounts import create_account
from gateway.cli.registry.target import Target, nothing_there, with_target
from gateway.cli.secret import read_secret
from gateway.config.settings import DeploymentEntry
from gateway.config.validation_messages import sentences
from gateway.core.deployment import Deployment, Status
from gateway.registry.base import ChangeError


@click.group()
def deployments() -> None:
    """Add, list, pause, resume and remove deployments. A running gateway follows within a second."""


@deployments.command()
@with_target
@click.argument("deployment_id", metavar="ID")
@click.option("--account", required=True, help="The account it belongs to.")
@create_account
@click.option(
    "--upstream",
    required=True,
    metavar="URL",
    help="Where its llama-server listens: http[s]://host[:port] or unix:/path.",
)
@click.option("--upstream-key-env", metavar="NAME", help="The environment variable with the llama-server's own key.")
@click.option("--upstream-key-stdin", is_flag=True, help="Read the llama-server's own key from standard input.")
@click.option("--status", type=click.Choice([str(status) for status in Status]), default="auto", show_default=True)
@click.option("--connect", type=float, metavar="SECONDS", help="To establish a connection.")
@click.option("--first-byte", type=float, metavar="SECONDS", help="Until the answer's first byte.")
@click.option("--silence", type=float, metavar="SECONDS", help="Between two bytes of the answer.")
@click.option("--queue", type=float, metavar="SECONDS", help="In line for a connection.")
@click.option("--connections", type=int, metavar="N", help="Connections in use at a time.")
@click.option("--waiting", type=int, metavar="N", help="Requests that may wait for a connection.")
@click.option("--ping", type=float, metavar="SECONDS", help="Silence after which a stream is kept alive.")
@click.option("--ca-file", type=click.Path(readable=False), help="PEM file to verify an https upstream with.")
@as_json
def add(
    target: Target,
    /,
    *,
    deployment_id: str,
    account: str,
    create_account: bool,
    upstream: str,
    upstream_key_env: str | None,
    upstream_key_stdin: bool,
    status: str,
    connections: int | None,
    waiting: int | None,
    ping: float | None,
    ca_file: str | None,
    as_json: bool,
    **timeouts: float | None,
) -> None:
    """Add a deployment."""
    entry = _entry(
        account=account,
        upstream=upstream,
        upstream_key=_upstream_key(upstream_key_env, from_stdin=upstream_key_stdin),
        status=status,
        timeouts=timeouts,
        limits={"connections": connections, "waiting": waiting},
        ping=ping,
        ca_file=ca_file,
    )
    target.change(
        lambda change: change.add_deployment(deployment_id, entry, create_account=create_account),
        create=create_account,
    )
    _say(as_json, deployment_id, "added", f"Its base URL ends in /api/gguf/{deployment_id}")


@deployments.command("list")
@with_target
@click.option("--account", help="Only this account's.")
@as_json
def list_(target: Target, account: str | None, as_json: bool) -> None:
    """List all deployments."""
    snapshot = target.snapshot()
    found = [one for one in snapshot.deployments.values() if account in {None, one.account}]
    if as_json:
        print_json([_listed(one) for one in found])
        return
    print_table(
        ("ID", "ACCOUNT", "STATUS", "UPSTREAM", "UPSTREAM KEY"),
        ((one.id, one.account, one.status, one.upstream, "set" if one.upstream_key else "") for one in found),
        empty=nothing_there("deployment", account, snapshot),
    )


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


def _entry(**values: object) -> DeploymentEntry:
    try:
        return DeploymentEntry.model_validate(values)
    except ValidationError as error:
        said = (f"--{str(path[-1]).replace('_', '-')}: {text}" for path, text in sentences(error, DeploymentEntry))
        raise ChangeError("\n".join(said)) from error


def _upstream_key(variable: str | None, *, from_stdin: bool) -> str | None:
    if variable is not None and from_stdin:
        raise click.UsageError("Give either --upstream-key-env or --upstream-key-stdin, not both.")
    if variable is not None:
        if not os.environ.get(variable):
            raise ChangeError(f"The environment variable {variable} is not set.")
        return os.environ[variable]
    return read_secret("Upstream key") if from_stdin else None


def _say(as_json: bool, deployment_id: str, done: str, more: str = "") -> None:
    if as_json:
        print_json({"id": deployment_id, "done": done})
    else:
        say(f"Deployment {deployment_id} is {done}. {more}".rstrip())


def _listed(one: Deployment) -> dict[str, object]:
    return {
        "id": one.id,
        "account": one.account,
        "status": str(one.status),
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
    }
