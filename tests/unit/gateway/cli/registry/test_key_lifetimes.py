"""`--expires-in`: how long a key works, said as a length of time."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.processes.commands import CommandProcess

pytestmark = pytest.mark.slow  # each command is a process: `make test-tools` runs them

CREATE = ("keys", "create", "--account", "acme", "--create-account", "--name")
LENGTHS = {
    "90d": timedelta(days=90),
    "12h": timedelta(hours=12),
    "4w": timedelta(weeks=4),
    "30m": timedelta(minutes=30),
}


def test_a_key_works_as_long_as_it_is_told(command: CommandProcess) -> None:
    began = datetime.now(UTC)
    for said in LENGTHS:
        command.says(*CREATE, said, "--expires-in", said)
    for key in command.reads("keys", "list"):
        made, end = (datetime.fromisoformat(key[name]) for name in ("created_at", "expires_at"))
        assert began <= end - LENGTHS[key["name"]] <= made
        assert key["state"] == "valid"


def test_a_successor_gets_the_lifetime_it_is_told_and_passes_it_on(command: CommandProcess) -> None:
    key, lifetime = command.reads(*CREATE, "laptop")["id"], timedelta(weeks=2)
    for more in (["--expires-in", "2w"], []):
        began = datetime.now(UTC)
        key = command.reads("keys", "rotate", key, *more)["id"]
        listed = next(one for one in command.reads("keys", "list") if one["id"] == key)
        made, end = (datetime.fromisoformat(listed[name]) for name in ("created_at", "expires_at"))
        assert began <= end - lifetime <= made
        lifetime = end - made


def test_the_successor_of_a_key_that_ends_with_all_years_does_too(command: CommandProcess) -> None:
    end = "9999-12-31T23:59:59Z"
    key = command.reads(*CREATE, "laptop", "--expires-at", end)["id"]
    with closing(sqlite3.connect(command.place[1])) as database, database:
        database.execute("UPDATE keys SET created_at = '2020-01-01 00:00:00.000000'")
    successor = command.reads("keys", "rotate", key)["id"]
    [listed] = [one for one in command.reads("keys", "list") if one["id"] == successor]
    assert listed["expires_at"].startswith("9999-12-31T23:59:59")


@pytest.mark.parametrize("wrong", ["", "90", "-1d", "1y", "1.5d", "999999999w", "3654d", "d", "90 d", "90D"])
def test_what_is_no_length_of_time_is_a_usage_error(wrong: str, command: CommandProcess) -> None:
    done = command(*CREATE, "laptop", "--expires-in", wrong)
    assert done.returncode == 2
    assert "a duration is a number and a unit, like 90s, 30m, 24h, 7d or 2w, up to ten years" in done.stderr


def test_a_key_has_one_end_and_a_life_before_it(command: CommandProcess) -> None:
    done = command(*CREATE, "laptop", "--expires-in", "1d", "--expires-at", "2999-01-01T00:00:00Z")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "Error: Give either --expires-at or --expires-in, not both.",
    )
    assert command.refuses(*CREATE, "laptop", "--expires-in", "0") == "The key would have expired before it was made."
