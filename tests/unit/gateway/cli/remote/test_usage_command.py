"""`usage`: who used how much, asked of a database and of a gateway, for people, spreadsheets and scripts."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.harness.processes.commands import on_a_terminal, read
from tests.harness.storage.usage_rows import used
from tests.unit.gateway.cli.remote.conftest import Ask

NOW = datetime.now(UTC)


@pytest.fixture
def key(on_machine: Ask, folder: Path) -> str:
    on_machine("accounts", "add", "acme")
    made = str(read(on_machine("keys", "create", "--account", "acme", "--name", "=laptop", "--json"))["id"])
    used(folder / "gateway.db", NOW, key=made, requests=1200, tokens=(34_000, 1_000, 560))
    used(folder / "gateway.db", NOW - timedelta(days=3), key=made, ending="client_left")
    return made


@pytest.mark.slow
def test_both_ways_tell_the_same(on_machine: Ask, key: str, ask: Ask) -> None:
    for options in ([], ["--by", "day,key", "--top", "1"], ["--by", "deployment", "--since", "2d"]):
        local = read(on_machine("usage", "--json", *options))
        assert local == read(ask("usage", "--json", *options))
        assert local[0].keys() > {"requests", "tokens_in", "tokens_cached", "tokens_out", "cost", "endings"}
    assert [row["requests"] for row in read(ask("usage", "--json", "--key", key, "--until", "2d"))] == [1]


def test_people_get_a_table_with_a_total(on_machine: Ask, key: str) -> None:
    shown = on_machine("usage", "--by", "day").stdout.splitlines()
    assert shown[0].split()[:5] == ["DAY", "REQUESTS", "IN", "CACHED", "OUT"]
    assert shown[2].split()[:5] == [NOW.date().isoformat(), "1,200", "34,000", "1,000", "560"]
    assert shown[3].split()[:2] == ["total", "1,201"]
    assert f"=laptop ({key})" in on_machine("usage").stdout


def test_spreadsheets_get_csv_in_which_a_name_is_no_formula(on_machine: Ask, key: str) -> None:
    [row] = csv.DictReader(io.StringIO(on_machine("usage", "--csv").stdout))
    assert (row["key"], row["key_name"], row["requests"]) == (key, "'=laptop", "1201")
    assert row["endings"] == "client_left=1 finished=1200"


def test_prices_of_the_configuration_make_costs(on_machine: Ask, key: str, folder: Path, ask: Ask) -> None:
    config = folder / "prices.yaml"
    config.write_text("database: gateway.db\nserver: {usage: {prices: {tokens_in: 1000000}}}\n")
    [row] = read(ask("usage", "--json"))
    assert row["cost"] is None
    from click.testing import CliRunner

    from gateway.cli import main

    shown = CliRunner().invoke(main, ["usage", "--config", str(config)]).stdout.splitlines()
    assert shown[0].endswith("COST EUR")
    assert shown[1].endswith("34,010.00")


def test_nothing_used_is_said_and_so_is_what_cannot_be_asked(on_machine: Ask, key: str) -> None:
    nothing = on_machine("usage", "--until", "30d", "--since", "60d")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr.startswith("Nothing was used from ")
    assert on_machine("usage", "--csv", "--json").exit_code == 2
    assert on_machine("usage", "--by", "colour").exit_code == 2
    assert "a duration is a number and a unit" in on_machine("usage", "--since", "7y").stderr
    told = on_machine("usage", "--since", "yesterday").stderr
    assert "like 2027-01-01T00:00:00Z, or how long ago it was, like 7d" in told


def test_a_name_in_place_of_an_id_is_not_said_to_have_used_nothing(on_machine: Ask, key: str) -> None:
    said = on_machine("usage", "--key", "=laptop").stderr
    assert said.endswith(" by --key =laptop; the ids are in `gguf-gateway keys list`.\n")


def test_a_span_that_ends_before_it_begins_is_refused(on_machine: Ask, key: str) -> None:
    refused = on_machine("usage", "--until", "30d")  # it begins 7 days ago
    assert refused.exit_code == 2
    assert "--until must be later than --since, which is 7 days ago by default" in refused.stderr


def test_hours_of_which_the_keys_are_unknown_are_said(on_machine: Ask, key: str, folder: Path) -> None:
    used(folder / "gateway.db", NOW, key="")
    assert "Of 1 hour the keys are not known" in on_machine("usage").stderr


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "is_whole"), [("140", True), ("80", False)])
def test_the_table_fits_the_terminal(key: str, folder: Path, columns: str, is_whole: bool) -> None:
    used(folder / "gateway.db", NOW, key=key, requests=900_000, tokens=(9_000_000, 1_000, 9_000_000))
    place = ("--database", str(folder / "gateway.db"))
    shown = on_a_terminal("usage", *place, COLUMNS=columns, NO_COLOR="1").splitlines()
    assert shown[0].split()[0] == "KEY"
    assert ("FIRST BYTE" in shown[0], "ACCOUNT" in shown[0]) == (is_whole, is_whole)
    assert max(map(len, shown)) <= int(columns)
