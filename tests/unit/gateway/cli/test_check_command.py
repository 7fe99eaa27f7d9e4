"""`gguf-gateway check`: every error at once, and nothing touched."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness.processes.commands import Run, create, read
from tests.harness.storage.config_files import GOOD
from tests.harness.storage.databases import as_the_first_version_left_it


def test_check_says_what_is_good_and_what_deserves_a_warning(run: Run, config: Path) -> None:
    result = run("check", "--config", str(config))
    assert result.output == f"{config} is good: listens on 127.0.0.1:8080, 1 account, 1 key, 1 deployment.\n"
    config.write_text("server: {host: 0.0.0.0}\n" + GOOD)
    answer = read(run("check", "--config", str(config), "--json"))
    assert answer["ok"] is True
    assert "plain text" in answer["warnings"][0]
    assert "Warning: The configuration holds 1 key as plain text (" in run("check", "--config", str(config)).stderr
    config.write_text("accounts: {acme: {}, beta: {}}")
    assert "2 accounts, 0 keys, 0 deployments.\n" in run("check", "--config", str(config)).stdout


def test_check_says_every_error_at_once(run: Run, config: Path) -> None:
    config.write_text("server: {prot: 1}\n" + GOOD.replace("acme, up", "beta, up"))
    said = [
        f"{config}:1: server.prot: unknown setting; did you mean `port`?",
        f"{config}:7: deployments.demo.account: is not an account in this file",
    ]
    plain, as_json = run("check", "--config", str(config)), run("check", "--config", str(config), "--json")
    assert (plain.exit_code, plain.stderr.splitlines()) == (1, said)
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, {"ok": False, "errors": said})


def test_check_looks_for_the_database_and_does_not_touch_it(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("database: gateway.db")
    assert "there is no such database" in run("check", "--config", str(config)).stderr
    assert not (tmp_path / "gateway.db").exists()
    create(run)
    assert "accounts and deployments in a database" in run("check", "--config", str(config)).output


def test_check_names_the_account_that_a_sign_in_would_give_in_vain(run: Run, tmp_path: Path) -> None:
    create(run)
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "database: gateway.db\nserver:\n  sign_in:\n    oidc:\n      issuer: https://id.example.org\n"
        "      client_id: gateway\n      domains:\n        example.org: {accounts: [acme]}\n"
        "      groups:\n        ops: {accounts: [acme, amce]}\n"
    )
    result = run("check", "--config", str(config))
    field = "server.sign_in.oidc.groups.ops.accounts[1]"
    said = f"{config}:10: {field}: is not an account in the database; did you mean `acme`?\n"
    assert (result.exit_code, result.stderr) == (1, said)
    config.write_text(config.read_text().replace(", amce", ""))
    assert run("check", "--config", str(config)).exit_code == 0


REFUSED_BY_SERVE = {
    "a newer schema": ("UPDATE gateway_schema SET version_num = '9999'", "was written by a newer gguf-gateway"),
    "another program's": ("DROP TABLE gateway_schema", "holds the tables of another program"),
}


@pytest.mark.parametrize(("spoil", "said"), REFUSED_BY_SERVE.values(), ids=REFUSED_BY_SERVE)
def test_check_refuses_a_database_that_serve_would_refuse(spoil: str, said: str, run: Run, tmp_path: Path) -> None:
    create(run)
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as database, database:
        database.execute(spoil)
    config = tmp_path / "gateway.yaml"
    config.write_text("database: gateway.db")
    result = run("check", "--config", str(config))
    assert result.exit_code == 1
    assert said in result.stderr


def test_check_migrates_nothing_and_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    create(run)
    as_the_first_version_left_it(tmp_path / "gateway.db")
    config = tmp_path / "gateway.yaml"
    config.write_text("database: gateway.db")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert run("check", "--config", str(config)).exit_code == 0
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("url", ["nosuchdb://u:CANARY@h/d", "mssql+aioodbc://u:CANARY@h/d"])
def test_check_refuses_a_database_without_a_driver(url: str, run: Run, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(f"database: {url}")
    result = run("check", "--config", str(config))
    assert result.exit_code == 1
    assert "install an async SQLAlchemy driver for it" in result.stderr
    assert "CANARY" not in result.output


def test_check_names_every_address(run: Run, config: Path) -> None:
    config.write_text("server: {host: [127.0.0.1, '::1'], port: 81, admin: {port: 9090}}\n" + GOOD)
    said = run("check", "--config", str(config)).stdout
    assert "listens on 127.0.0.1:81, [::1]:81, for the operator on 127.0.0.1:9090, 1 account" in said
    told = json.loads(run("check", "--config", str(config), "--json").stdout)
    assert (told["address"], told["admin_address"]) == ("127.0.0.1:81, [::1]:81", "127.0.0.1:9090")
