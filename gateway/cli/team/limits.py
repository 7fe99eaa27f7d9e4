"""`gguf-gateway limits`: how much keys, people and accounts may use, and what they have used of it."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gateway.cli.output import as_json, print_json, print_table, say, when
from gateway.cli.registry.shared_options import as_option, pointing_to, request_of
from gateway.cli.registry.target import Target, with_target
from gateway.core.rate_limits import Measure, SubjectKind
from gateway.team.models.limits import Limit, LimitQuery, NewLimit

F = TypeVar("F", bound=Callable[..., Any])
_UNKNOWN = (
    "What is used is not known: no gateway has counted where this command looks. "
    "One that is a service counts in its STATE_DIRECTORY: run the command as its user, and with the same."
)


@click.group()
def limits() -> None:
    """Limit how much keys, people and accounts may use, and see what is left."""


def _on_whom(command: F) -> F:
    """Give a command an option for each kind that can be limited."""
    for kind in reversed(SubjectKind):
        text = f"The {kind} that is limited, by its id."
        command = click.option(f"--{kind}", kind.value, metavar="ID", help=text)(command)
    return command


def _of_measures(command: F) -> F:
    for measure in reversed(Measure):
        option = f"--{as_option(measure)}"
        command = click.option(option, measure.value, type=int, metavar="N", help=measure.description)(command)
    return command


@limits.command("set")
@with_target
@_on_whom
@click.option("--deployment", metavar="ID", help="Of this deployment only; of all together by default.")
@_of_measures
@click.option("--shadow", is_flag=True, help="Count and show only, and refuse nothing.")
@as_json
def set_(target: Target, /, *, deployment: str | None, shadow: bool, as_json: bool, **given: int | str | None) -> None:
    """Set limits; where there is one already, it gets the new amount."""
    kind, subject = _subject(given)
    if subject is None:
        raise click.UsageError("Who is limited? Give --key, --person or --account.")
    amounts = {measure: given[measure.value] for measure in Measure if given[measure.value] is not None}
    if not amounts:
        raise click.UsageError("To how much? Give at least one, like --requests-per-minute 30.")
    whose = {"kind": kind, "subject": subject, "deployment": deployment, "shadow": shadow}
    asked = [
        request_of(NewLimit, {**whose, "measure": measure, "amount": amount}, {"amount": f"--{as_option(measure)}"})
        for measure, amount in amounts.items()
    ]
    done: list[Limit] = [target.perform("limits.set", request=one) for one in asked]
    if as_json:
        print_json([one.model_dump() for one in done])
        return
    for one in done:
        say(f"{_called(one)}: {one.measure.counted(one.amount)}{_where(one)}. It is in force within a second.")


@limits.command("list")
@with_target
@_on_whom
@click.option("--deployment", metavar="ID", help="Only those of this deployment.")
@as_json
def list_(target: Target, /, *, deployment: str | None, as_json: bool, **given: str | None) -> None:
    """List limits, with what is used and left of each."""
    kind, subject = _subject(given)
    query = request_of(LimitQuery, {"kind": kind, "subject": subject, "deployment": deployment})
    found: list[Limit] = target.every("limits.list", query)
    if any(one.used is None for one in found):
        click.echo(_UNKNOWN, err=True)
    if as_json:
        print_json([one.model_dump() for one in found])
        return
    print_table(
        ("ID", "ON", "LIMIT", "OF", "USED", "LEFT", "RESETS"),
        [_row(one) for one in found],
        empty="There is no limit.",
        numbers=("USED", "LEFT"),
    )


@limits.command()
@with_target
@click.argument("limit_id", metavar="ID")
@as_json
def remove(target: Target, limit_id: str, as_json: bool) -> None:
    """Let go of a limit."""
    with pointing_to("limits list"):
        gone: Limit = target.perform("limits.remove", limit_id)
    if as_json:
        print_json(gone.model_dump())
    else:
        say(f"{_called(gone)} is no longer limited to {gone.measure.counted(gone.amount)}{_where(gone)}.")


def _subject(given: dict[str, Any]) -> tuple[SubjectKind | None, str | None]:
    named = [(kind, given[kind.value]) for kind in SubjectKind if given[kind.value] is not None]
    if len(named) > 1:
        raise click.UsageError(f"Give either --{named[0][0]} or --{named[1][0]}, not both.")
    return named[0] if named else (None, None)


def _called(one: Limit) -> str:
    name = f" ({one.subject_name})" if one.subject_name else ""
    return f"{one.kind.value.capitalize()} {one.subject}{name}"


def _where(one: Limit) -> str:
    return (f" of {one.deployment}" if one.deployment else "") + (", only counted" if one.shadow else "")


def _row(one: Limit) -> tuple[str, ...]:
    return (
        one.id,
        _called(one),
        one.measure.counted(one.amount) + (" (only counted)" if one.shadow else ""),
        one.deployment or "all",
        "unknown" if one.used is None else f"{one.used:,}",
        "unknown" if one.left is None else f"{one.left:,}",
        when(one.resets_at) if one.used and one.measure is not Measure.CONCURRENT_REQUESTS else "",
    )
