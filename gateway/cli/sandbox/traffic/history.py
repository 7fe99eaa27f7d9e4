"""A week before today, made up: charts of a sandbox that has just begun would be empty else."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table

from gateway.cli.sandbox.traffic.team import Player
from gateway.registry.database.usage_tables import usage_days, usage_hours, usage_latency
from gateway.team.unit_of_work import TeamDatabase
from gateway.telemetry.metrics import BOUNDS

_HOURS = 7 * 24
_ENDPOINT = "/v1/chat/completions"
_TOKENS_A_SECOND = 30.0
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Habit:
    """What a key does in an hour of work: requests, tokens of each, and the share of what is read that was cached."""

    requests: int
    tokens_in: int
    tokens_out: int
    cached: float
    ending: str = "finished"
    is_nightly: bool = False


_HABITS = {
    "ana's laptop": _Habit(14, 900, 110, 0.7),
    "chat-ui": _Habit(38, 600, 80, 0.6),
    "nightly-batch": _Habit(220, 420, 40, 0.1, is_nightly=True),
    "phone": _Habit(9, 0, 0, 0.0, "refused"),
    "half-finished": _Habit(7, 120, 60, 0.3, "client_left"),
}


async def write_history(
    database: TeamDatabase, account: str, deployment: str, players: Sequence[Player], now: datetime
) -> None:
    """Write what these players would have used in the week before this hour; days are those of `now`'s time zone.

    Raises SourceError.
    """
    rng = random.Random(_HOURS)  # noqa: S311  a play
    full = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours, latency = list[Row](), list[Row]()
    days: dict[tuple[object, ...], Row] = {}
    for ago in range(1, _HOURS + 1):
        hour = full - timedelta(hours=ago)
        local = hour.astimezone(now.tzinfo)
        crowd = _is_night(local)
        for player in players:
            row = _row(player, _HABITS[player.name], _activity(local, _HABITS[player.name], rng), crowd, rng)
            if row is None:
                continue
            row |= {"account": account, "deployment": deployment}
            hours.append({**row, "hour": hour})
            _add(days, {**row, "day": local.date().isoformat()})
        place = {"hour": hour, "account": account, "deployment": deployment}
        latency += [{**place, **one} for one in _buckets(crowd, rng)]
    async with database.begin() as connection:
        tables: tuple[tuple[Table, list[Row]], ...] = (
            (usage_hours, hours),
            (usage_days, list(days.values())),
            (usage_latency, latency),
        )
        for table, rows in tables:
            await connection.execute(table.insert(), rows)


def _is_night(local: datetime) -> bool:
    """When the script runs."""
    return 1 <= local.hour < 4


def _activity(local: datetime, habit: _Habit, rng: random.Random) -> float:
    """How busy somebody is in an hour: 1 is a usual hour of work."""
    if habit.is_nightly:
        return rng.uniform(0.8, 1.2) if _is_night(local) else 0.0
    at_work = 8 <= local.hour < 18 and local.weekday() < 5
    return rng.uniform(0.4, 1.5) if at_work else rng.choice((0.0, 0.0, 0.0, 0.2))


def _row(player: Player, habit: _Habit, activity: float, crowd: bool, rng: random.Random) -> Row | None:
    requests = round(habit.requests * activity)
    if requests == 0:
        return None
    tokens_in, tokens_out = requests * habit.tokens_in, requests * habit.tokens_out
    queue = requests * rng.uniform(2.0, 6.0 if habit.is_nightly else 3.0) if crowd else requests * rng.uniform(0, 0.2)
    slot = tokens_out / _TOKENS_A_SECOND + requests * 0.3
    return {
        "key": player.id,
        "person": player.person,
        "endpoint": _ENDPOINT,
        "ending": habit.ending,
        "requests": requests,
        "answered": requests,
        "tokens_in": tokens_in,
        "tokens_cached": round(tokens_in * habit.cached * rng.uniform(0.8, 1.2)),
        "tokens_out": tokens_out,
        "tokens_counted": tokens_out if habit.ending == "client_left" else 0,
        "queue_seconds": queue,
        "slot_seconds": slot,
        "first_byte_seconds": queue + requests * rng.uniform(0.15, 0.4),
        "duration_seconds": queue + slot,
    }


def _add(days: dict[tuple[object, ...], Row], row: Row) -> None:
    """Add an hour to its day."""
    apart = tuple(row[name] for name in ("day", "key", "ending"))
    known = days.setdefault(apart, row)
    if known is not row:
        known |= {name: known[name] + value for name, value in row.items() if isinstance(value, int | float)}


def _buckets(crowd: bool, rng: random.Random) -> Iterator[Row]:
    """How long requests of an hour took, most of them not long."""
    for measure, usual in (
        ("queue", 1.5 if crowd else 0.004),
        ("first_byte", 1.9 if crowd else 0.22),
        ("duration", 3.5),
    ):
        numbers = [0] * (len(BOUNDS) + 1)
        for _ in range(40):
            seconds = usual * rng.lognormvariate(0, 0.7)
            numbers[next((index for index, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))] += 1
        yield from (
            {"measure": measure, "bucket": bucket, "number": number} for bucket, number in enumerate(numbers) if number
        )
