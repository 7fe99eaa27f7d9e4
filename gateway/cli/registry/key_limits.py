"""What a key is limited to: as options, as people read it, and what of it was changed."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar

import click

from gateway.cli.output import when
from gateway.cli.registry.changes import Changed
from gateway.cli.registry.shared_options import as_option
from gateway.core.account import Priority
from gateway.core.endpoints import EndpointGroup
from gateway.team.models.keys import Key, KeyLimits

F = TypeVar("F", bound=Callable[..., Any])

_LIMITS = tuple(KeyLimits.model_fields)
WITHOUT = tuple(map(as_option, _LIMITS))  # the limits that can be taken away, as options are written
_CHANGED = ("name", "enabled", "expires_at", *_LIMITS, "priority", "weight")


def key_limits(command: F) -> F:
    """Give a command an option for each limit; each may be repeated."""
    options = (
        click.option("--deployment", "deployments", multiple=True, metavar="ID", help="It may call this one only."),
        click.option(
            "--endpoints",
            multiple=True,
            type=click.Choice([str(group) for group in EndpointGroup]),
            help="It may call this group of endpoints only.",
        ),
        click.option(
            "--network", "networks", multiple=True, metavar="CIDR", help="It works from there only, like 10.0.0.0/8."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def turns(command: F) -> F:
    """Give a command options for how a key's requests wait in line."""
    options = (
        click.option(
            "--priority",
            type=click.Choice([str(one) for one in Priority]),
            help="How its requests wait in line: batch takes what no interactive one waits for.",
        ),
        click.option("--weight", type=float, metavar="N", help="Its share in line beside other keys of the account."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def limits_of(given: Mapping[str, tuple[str, ...]], unset: Collection[str] = ()) -> dict[str, object]:
    """The limits that were given, and None for each to be taken away. Raises UsageError for one that is both."""
    found: dict[str, object] = {name: given[name] for name in _LIMITS if given[name]}
    for name in _LIMITS:
        if as_option(name) in unset:
            if name in found:
                raise click.UsageError(f"--unset {as_option(name)} contradicts the value given for it.")
            found[name] = None
    return found


def limits_in_words(key: Key) -> str:
    """What a key is limited to; nothing for one that opens all of its account."""
    limits = {name: getattr(key, name) for name in _LIMITS}
    words = [f"{name}: {', '.join(values)}" for name, values in limits.items() if values is not None]
    words += [] if key.priority is Priority.INTERACTIVE else [key.priority.value]
    words += [] if key.weight == 1 else [f"weight: {key.weight:g}"]
    return "; ".join(words)


def changed_of(before: Key, after: Key) -> Changed:
    """The settings that are different now."""
    found = {name: (getattr(before, name), getattr(after, name)) for name in _CHANGED}
    return {name: values for name, values in found.items() if values[0] != values[1]}


def in_words(name: str, value: object, _before: object) -> str:
    """A setting's value, as people read it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case datetime():
            return when(value)
        case float():
            return f"{value:g}"
        case tuple():
            return ", ".join(map(str, value))
        case None:
            return "never" if name == "expires_at" else "any"
    return str(value)
