"""`gguf-gateway usage`: who used how much, as a table, as CSV or as JSON."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

import click

from gateway.cli.arguments import PastMoment
from gateway.cli.output import as_json, print_json, print_table, say, when
from gateway.cli.registry.shared_options import request_of
from gateway.cli.registry.target import Target, with_target
from gateway.config.document import counted
from gateway.team.models.usage import SUBJECTS, TIMES, UsageQuery, UsageReport, UsageRow, UsageSums
from gateway.team.usage_csv import as_csv as as_csv_text

_BY = (*SUBJECTS, *TIMES, *(f"{time},{subject}" for time in TIMES for subject in SUBJECTS))
_LISTS = {"account": "accounts", "key": "keys", "person": "people", "deployment": "deployments"}  # their commands
_NUMBERS = ("REQUESTS", "IN", "CACHED", "OUT", "IN LINE", "SLOT", "FIRST BYTE", "DURATION", "UNFINISHED", "COST")


_SPARE = ("ACCOUNT", "FIRST BYTE", "DURATION")  # left out on a terminal that is narrower than this
_WIDE = 110


class _By(click.Choice[str]):
    """The choices in short: each with an hour or a day before it would fill the help."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join((*SUBJECTS, *TIMES))}]"


@click.command()
@with_target
@click.option("--by", type=_By(_BY), default="key", show_default=True, help="A row for each; `day,key` for each a day.")
@click.option("--since", type=PastMoment(), default="7d", show_default=True, help="From how long ago, or from when.")
@click.option("--until", type=PastMoment(), help="Until how long ago, or until when; until now by default.")
@click.option("--top", type=int, metavar="N", help="A row for each of the N that used most, and one for all others.")
@click.option("--account", metavar="ID", help="Only this account's.")
@click.option("--key", metavar="ID", help="Only with this key.")
@click.option("--person", metavar="ID", help="Only with this person's keys.")
@click.option("--deployment", metavar="ID", help="Only of this deployment.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, for a spreadsheet.")
@as_json
def usage(
    target: Target,
    /,
    *,
    by: str,
    since: datetime,
    until: datetime | None,
    top: int | None,
    as_csv: bool,
    as_json: bool,
    **only: str | None,
) -> None:
    """Read who used how much: requests, tokens, seconds in line and in a slot, and what it costs."""
    if as_csv and as_json:
        raise click.UsageError("Give either --csv or --json, not both.")
    if until is not None and until <= since:
        raise click.UsageError("--until must be later than --since, which is 7 days ago by default.")
    query = request_of(UsageQuery, {"by": by, "since": since, "until": until, "top": top, **only})
    found: UsageReport = target.perform("usage.get", request=query)
    if as_json:
        print_json([one.model_dump() for one in found.rows])
    elif as_csv:
        say(as_csv_text(found.rows))
    else:
        _print(found, by, _asked_for(only))
    for note in notes(found):
        click.echo(note, err=True)


def notes(found: UsageReport) -> list[str]:
    """What there is to say of rows that do not tell all."""
    said = []
    if found.is_cut:
        said.append(f"There are more than these {len(found.rows)} rows: ask for a shorter time.")
    if found.merged_hours:
        said.append(f"Of {counted(len(found.merged_hours), 'hour')} the keys are not known: the database was away.")
    if found.waiting_since is not None:
        since = when(found.waiting_since)
        said.append(f"The database takes no usage at the moment: what was used after {since} is not counted yet.")
    return said


def _asked_for(only: Mapping[str, str | None]) -> str:
    """Whose use alone was asked for, and where the ids are: with a name in an id's place, nothing was used by it."""
    given = {name: value for name, value in only.items() if value is not None}
    if not given:
        return ""
    lists = " and ".join(f"`gguf-gateway {_LISTS[name]} list`" for name in given)
    return f" by {' '.join(f'--{name} {value}' for name, value in given.items())}; the ids are in {lists}"


def _print(found: UsageReport, by: str, asked_for: str) -> None:
    names = by.split(",")
    label = [name.upper() for name in names] + (["ACCOUNT"] if names[-1] in {"key", "deployment"} else [])
    cost = f"COST {found.currency}" if found.currency else "COST"
    rows = [(*_called(one, names), *_cells(one)) for one in found.rows]
    if len(rows) > 1:
        rows.append((*("total" if not index else "" for index in range(len(label))), *_cells(found.total)))
    columns = (*label, *_NUMBERS[:-1], cost)
    shown = [index for index, column in enumerate(columns) if column not in _SPARE or not _is_narrow()]
    nothing = f"Nothing was used from {when(found.since)} to {when(found.until)}{asked_for}."
    cut = [[row[index] for index in shown] for row in (columns, *rows)]
    print_table(cut[0], cut[1:], empty=nothing, numbers=(*_NUMBERS, cost))


def _is_narrow() -> bool:
    """Whether what is printed is for a terminal in which not everything has a place beside each other."""
    return sys.stdout.isatty() and shutil.get_terminal_size().columns < _WIDE


def _called(one: UsageRow, names: Sequence[str]) -> tuple[str, ...]:
    """What the row is of, as people call it."""
    others = "others" if one.is_others else ""
    called = {
        "hour": when(one.hour),
        "day": one.day or "",
        "key": f"{one.key_name} ({one.key})" if one.key_name else one.key or others or "unknown",
        "person": one.person_name or one.person or others or "nobody",
        "account": one.account or others,
        "deployment": one.deployment or others,
        "endpoint": one.endpoint or others,
    }
    found = tuple(called[name] for name in names)
    return (*found, one.account or "") if names[-1] in {"key", "deployment"} else found


def _cells(one: UsageSums) -> tuple[str, ...]:
    return (
        *(f"{number:,}" for number in (one.requests, one.tokens_in, one.tokens_cached, one.tokens_out)),
        *(f"{seconds:,.0f} s" for seconds in (one.queue_seconds, one.slot_seconds)),
        *(
            "" if mean is None else f"{mean:,.2f} s"
            for mean in (one.first_byte_mean_seconds, one.duration_mean_seconds)
        ),
        f"{one.unfinished:,}" if one.unfinished else "",
        "" if one.cost is None else f"{one.cost:,.2f}",
    )
