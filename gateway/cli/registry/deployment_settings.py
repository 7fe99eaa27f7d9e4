"""A deployment's settings as options of a command, and what becomes of those that were given."""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from gateway.cli.registry.accounts import create_account
from gateway.cli.registry.shared_options import request_of
from gateway.cli.secret import read_secret
from gateway.config.settings import DeploymentLimits, DeploymentTimeouts
from gateway.core.deployment import Status
from gateway.core.endpoints import EndpointGroup
from gateway.registry.base import ChangeError
from gateway.team.models.deployments import NewDeployment

F = TypeVar("F", bound=Callable[..., Any])


def _unless_empty(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    return value or None


_OPTIONAL = (
    click.option(
        "--upstream-key-env", metavar="NAME", help="The environment variable with the llama-server's own key."
    ),
    click.option("--upstream-key-stdin", is_flag=True, help="Read the llama-server's own key from standard input."),
    click.option(
        "--status",
        type=click.Choice([str(status) for status in Status]),
        help="As its probes see it (auto, the default), or pinned.",
    ),
    click.option("--connect", type=float, metavar="SECONDS", help="To establish a connection."),
    click.option("--first-byte", type=float, metavar="SECONDS", help="Until the answer's first byte."),
    click.option("--silence", type=float, metavar="SECONDS", help="Between two bytes of the answer."),
    click.option("--queue", type=float, metavar="SECONDS", help="In line for a connection."),
    click.option("--connections", type=int, metavar="N", help="Requests at its upstream at a time."),
    click.option("--waiting", type=int, metavar="N", help="Requests that may wait for a connection."),
    click.option("--ping", type=float, metavar="SECONDS", help="Silence after which a stream is kept alive."),
    click.option("--ca-file", type=click.Path(readable=False), help="PEM file to verify an https upstream with."),
    click.option(
        "--endpoints",
        type=click.Choice([str(group) for group in EndpointGroup]),
        multiple=True,
        callback=_unless_empty,
        help="Which endpoints its clients may call, once for each group; openai and anthropic where left out.",
    ),
)
# Those that have a default to go back to, as options are written.
WITH_DEFAULT = (
    *("upstream-key", "status", "connect", "first-byte", "silence", "queue"),
    *("connections", "waiting", "ping", "ca-file", "endpoints"),
)


def deployment_settings(*, required: bool) -> Callable[[F], F]:
    """Give a command an option for each setting. With `required`, those without a default must be given."""
    options = (
        click.option("--account", required=required, help="The account it belongs to."),
        create_account,
        click.option(
            "--upstream",
            required=required,
            metavar="URL",
            help="Where its llama-server listens: http[s]://host[:port] or unix:/path.",
        ),
        *_OPTIONAL,
    )

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def given(options: Mapping[str, object]) -> dict[str, object]:
    """The settings that were given, by name. Raises ChangeError for an upstream key that is not where it was said."""
    found = {name: value for name, value in options.items() if value is not None}
    key = _upstream_key(found.pop("upstream_key_env", None), from_stdin=bool(found.pop("upstream_key_stdin", False)))
    return found if key is None else {**found, "upstream_key": key}


def deployment_of(deployment_id: str, settings: Mapping[str, object], *, from_afar: bool) -> NewDeployment:
    """The deployment that has these settings, and else the defaults. Raises ChangeError, a line for each mistake.

    `from_afar`: a `ca_file` is on the gateway's machine, which is the one to look at it.
    """
    files = {name: value for name, value in settings.items() if name == "ca_file" and from_afar}
    nested = {"timeouts": DeploymentTimeouts.model_fields, "limits": DeploymentLimits.model_fields}
    values: dict[str, object] = {
        section: {name: settings[name] for name in fields if name in settings} for section, fields in nested.items()
    }
    elsewhere = {name for fields in nested.values() for name in fields} | files.keys()
    values |= {name: value for name, value in settings.items() if name not in elsewhere}
    return request_of(NewDeployment, {**values, "id": deployment_id}, {"id": "id"}).model_copy(update=files)


def _upstream_key(variable: object, *, from_stdin: bool) -> str | None:
    if variable is not None and from_stdin:
        raise click.UsageError("Give either --upstream-key-env or --upstream-key-stdin, not both.")
    if variable is not None:
        if not os.environ.get(str(variable)):
            raise ChangeError(f"The environment variable {variable} is not set.")
        return os.environ[str(variable)]
    return read_secret("Upstream key") if from_stdin else None
