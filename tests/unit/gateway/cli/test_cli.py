"""The command line: what it prints, how it fails, and that no secret passes through an argument."""

import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import trustme
from click.testing import CliRunner, Result

from gateway import __version__
from gateway.cli import main
from gateway.config.settings import json_schema
from gateway.core.account import digest_of
from gateway.registry.database.database_registry import SqlRegistry
from tests.harness.patience import PATIENCE
from tests.harness.registries import accepts, in_force, opened

KEY = "gw_CANARY_secret_0123456789"
GOOD = f"""\
accounts:
  acme:
    keys:
      - {{name: laptop, key: {KEY}}}
deployments:
  demo: {{account: acme, upstream: "http://127.0.0.1:9931"}}
"""
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in this process, with `--database` of this test in place of `DB`."""

    def command(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
        given = [str(tmp_path / "gateway.db") if argument == "DB" else argument for argument in arguments]
        result = CliRunner().invoke(main, given, input=stdin, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return command


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def create(run: Run, name: str = "laptop") -> dict[str, Any]:
    made: dict[str, str] = read(
        run("keys", "create", "--database", "DB", "--account", "acme", "--name", name, "--json")
    )
    return made


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD)
    path.chmod(0o600)
    return path


# Help and version.


def test_help_lists_every_command_without_importing_any() -> None:
    script = "import sys\nfrom gateway.cli import main\nmain(['--help'], standalone_mode=False)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for name in ("serve", "sandbox", "check", "keys", "deployments", "import", "hash-key", "schema"):
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE)
    modules = done.stdout.splitlines()[-1].split()
    assert not {"aiohttp", "sqlalchemy", "alembic", "pydantic", "rich", "yaml"} & set(modules)


@pytest.mark.parametrize("name", ["serve", "check", "keys", "deployments", "import", "hash-key", "schema"])
def test_every_command_has_help(name: str, run: Run) -> None:
    assert run(name, "--help").output.startswith(f"Usage: main {name}")


def test_help_says_what_an_upstream_may_be_and_when_keys_end(run: Run) -> None:
    def said(*command: str) -> str:
        return " ".join(run(*command, "--help").output.split())

    assert "http[s]://host[:port] or unix:/path" in said("deployments", "add")
    assert "like 2027-01-01T00:00:00Z; never by default" in said("keys", "create")
    assert "never by default" not in said("keys", "rotate")
    assert "by default it gets the old one's lifetime" in said("keys", "rotate")


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert __version__ in run("--version").output


def test_a_command_that_is_none_is_a_usage_error(run: Run) -> None:
    assert run("key").exit_code == 2


# Keys.


def test_a_key_is_printed_this_once(run: Run) -> None:
    made = create(run)
    assert list(made) == ["id", "key", "name", "account", "expires_at"]
    assert (made["name"], made["account"], made["expires_at"]) == ("laptop", "acme", None)
    assert made["key"] not in run("keys", "list", "--database", "DB", "--json").output
    assert made["key"] not in run("keys", "list", "--database", "DB").output


def test_in_a_pipe_the_key_stands_alone(run: Run) -> None:
    result = run("keys", "create", "--database", "DB", "--account", "acme", "--name", "x")
    assert re.fullmatch(r"gw_[0-9A-Za-z]{46}\n", result.stdout)
    assert "not shown again" in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_an_expiry_is_kept_in_utc(run: Run) -> None:
    made = run(
        *("keys", "create", "--database", "DB", "--account", "acme", "--name", "x", "--json"),
        *("--expires-at", "2999-01-01T02:00:00+02:00"),
    )
    assert read(made)["expires_at"] == "2999-01-01T00:00:00Z"


async def test_a_running_gateway_follows_what_the_command_line_changes(tmp_path: Path) -> None:
    database = str(tmp_path / "gateway.db")

    def command(*arguments: str) -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments, "--database", database, "--json"],
            capture_output=True,
            check=True,
        )
        answer: dict[str, str] = json.loads(done.stdout)
        return answer

    old = command("keys", "create", "--account", "acme", "--name", "laptop")
    async with opened(SqlRegistry(database)) as registry:
        assert accepts(registry, old["key"], "acme")
        new = command("keys", "rotate", old["id"], "--grace", "0")
        assert new["successor_of"] == old["id"]

        async def nothing() -> None:
            pass

        await in_force(registry, nothing(), lambda: accepts(registry, new["key"]) and not accepts(registry, old["key"]))
        command("keys", "revoke", new["id"])
        await in_force(registry, nothing(), lambda: not accepts(registry, new["key"]))


def test_the_list_tells_the_states_of_keys_apart(run: Run) -> None:
    keys = {name: create(run, name)["id"] for name in ("valid", "revoked", "expired")}
    run("keys", "revoke", keys["revoked"], "--database", "DB")
    run("keys", "rotate", keys["expired"], "--grace", "0", "--database", "DB")
    listed = {key["id"]: key["state"] for key in read(run("keys", "list", "--database", "DB", "--json"))}
    assert {name: listed[key_id] for name, key_id in keys.items()} == {name: name for name in keys}
    assert len(listed) == 4
    table = run("keys", "list", "--database", "DB").output.splitlines()
    assert table[0].split() == ["ID", "NAME", "ACCOUNT", "STATE", "EXPIRES", "SUCCESSOR", "OF"]
    assert len(table) == 5
    assert read(run("keys", "list", "--database", "DB", "--json", "--account", "beta")) == []


def test_rotating_shows_the_successor_and_the_end_of_the_old_key(run: Run) -> None:
    old = create(run)
    new = read(run("keys", "rotate", old["id"], "--database", "DB", "--json"))
    assert set(new) == {"id", "key", "name", "account", "expires_at", "successor_of", "old_expires_at"}
    assert new["key"] != old["key"]
    assert new["old_expires_at"].endswith("Z")


@pytest.mark.parametrize("grace", ["", "1", "-1h", "1y", "999999999d", "h", "٣h", "1h1m"])
def test_a_grace_that_is_no_duration_is_a_usage_error(grace: str, run: Run) -> None:
    assert run("keys", "rotate", "x", "--grace", grace, "--database", "DB").exit_code == 2


# Deployments.


def add(run: Run, *more: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
    arguments = ("deployments", "add", "demo", "--database", "DB", "--account", "acme", "--upstream", "http://h:1")
    return run(*arguments, *more, stdin=stdin, env=env)


def shown(run: Run) -> dict[str, Any]:
    listed: list[dict[str, Any]] = read(run("deployments", "list", "--database", "DB", "--json"))
    return listed[0]


def test_ctrl_c_interrupts_a_command_that_tidies_up_and_kills_any_other() -> None:
    before = signal.getsignal(signal.SIGINT)
    context = click.Context(main)
    try:
        for name, handler in (("serve", signal.SIG_DFL), ("keys", signal.default_int_handler)):
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # as gateway/__main__.py does
            main.get_command(context, name)
            assert signal.getsignal(signal.SIGINT) is handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        main.get_command(context, "keys")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_L6_no_command_writes_the_configuration(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(GOOD)
    config.chmod(0o400)
    before = config.stat()
    for command in (
        ("check", "--config", str(config)),
        ("keys", "list", "--config", str(config)),
        ("keys", "create", "--config", str(config), "--account", "acme", "--name", "new"),
        ("keys", "revoke", "--config", str(config), "acme/laptop"),
        ("deployments", "add", "--config", str(config), "new", "--account", "acme", "--upstream", "http://h:1"),
        ("deployments", "pause", "--config", str(config), "demo"),
        ("deployments", "remove", "--config", str(config), "demo"),
        ("import", str(config), "--database", "DB"),
    ):
        run(*command)
        after = config.stat()
        assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
            before.st_ino,
            before.st_mtime_ns,
            before.st_ctime_ns,
        ), command
    assert config.read_text() == GOOD


def test_a_deployment_goes_through_its_life(run: Run) -> None:
    assert add(run, "--connect", "1.5").exit_code == 0
    first = shown(run)
    assert first == {
        "id": "demo",
        "account": "acme",
        "status": "auto",
        "upstream": "http://h:1",
        "has_upstream_key": False,
        "timeouts": {"connect": 1.5, "first_byte": 600.0, "silence": 600.0, "queue": 60.0},
        "limits": {"connections": 256, "waiting": 256},
        "ping": None,
        "ca_file": None,
    }
    assert read(run("deployments", "pause", "demo", "--database", "DB", "--json")) == {"id": "demo", "done": "paused"}
    assert shown(run)["status"] == "paused"
    assert run("deployments", "resume", "demo", "--database", "DB").output == "Deployment demo is resumed.\n"
    assert shown(run)["status"] == "auto"
    assert run("deployments", "list", "--database", "DB").output.splitlines()[1].split() == [
        "demo",
        "acme",
        "auto",
        "http://h:1",
    ]
    assert run("deployments", "remove", "demo", "--database", "DB").exit_code == 0
    assert read(run("deployments", "list", "--database", "DB", "--json")) == []
    assert run("deployments", "list", "--database", "DB").stderr == "There is no deployment.\n"


def test_an_upstream_key_comes_from_the_environment_or_from_standard_input(run: Run) -> None:
    assert add(run, "--upstream-key-env", "UP", env={"UP": "CANARYUP"}).exit_code == 0
    assert shown(run)["has_upstream_key"] is True
    run("deployments", "remove", "demo", "--database", "DB")
    result = add(run, "--upstream-key-stdin", stdin="CANARYUP\n")
    assert shown(run)["has_upstream_key"] is True
    assert "CANARYUP" not in result.output + run("deployments", "list", "--database", "DB", "--json").output


@pytest.mark.parametrize(
    ("more", "env", "stdin", "said"),
    [
        (["--upstream-key-env", "UP"], {}, "", "The environment variable UP is not set."),
        (["--upstream-key-env", "UP"], {"UP": "CANARY\nUP"}, "", "--upstream-key: an upstream key is printable ASCII"),
        (["--upstream-key-stdin"], {}, "", "standard input is empty"),
        (["--upstream-key-stdin"], {}, "CANARY ключ\n", "--upstream-key: an upstream key is printable ASCII"),
        (["--upstream", "http://u:CANARY@h"], {}, "", "--upstream: an upstream carries no user or password"),
        (["--connect", "nan"], {}, "", "--connect: must be"),
        (["--ca-file", "nowhere.pem"], {}, "", "--ca-file: cannot be read: No such file or directory"),
        (["--ca-file", ""], {}, "", "--ca-file: cannot be read"),
        (["--silence", "-1"], {}, "", "--silence: must be more than 0"),
        (["--account", "a/b"], {}, "", "--account: use 1 to 64 letters"),
    ],
)
def test_what_a_deployment_cannot_be_is_said_in_a_sentence(
    more: list[str], env: dict[str, str], stdin: str, said: str, run: Run
) -> None:
    result = add(run, *more, env=env, stdin=stdin)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "CANARY" not in result.output


def test_a_ca_file_is_kept_by_its_whole_path(
    run: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here", "elsewhere"):
        (tmp_path / folder).mkdir()
        trustme.CA().cert_pem.write_to_path(str(tmp_path / folder / "ca.pem"))
    monkeypatch.chdir(tmp_path / "here")
    assert add(run, "--ca-file", "ca.pem").exit_code == 0
    assert shown(run)["ca_file"] == str(tmp_path / "here" / "ca.pem")
    config = config.rename(tmp_path / "elsewhere" / "gateway.yaml")
    config.write_text(GOOD.replace('"}', '", ca_file: ca.pem}'))
    run("import", str(config), "--database", "DB", "--overwrite")
    assert shown(run)["ca_file"] == str(tmp_path / "elsewhere" / "ca.pem")


@pytest.mark.parametrize("what", ["key", "deployment"])
def test_an_empty_list_tells_an_empty_account_from_an_unknown_one(what: str, run: Run) -> None:
    add(run)
    create(run)
    run("keys", "create", "--database", "DB", "--account", "keys-only", "--name", "x")
    run("deployments", "add", "x", "--database", "DB", "--account", "deployments-only", "--upstream", "http://h:1")
    listing = (f"{what}s", "list", "--database", "DB", "--account")
    other = "keys-only" if what == "deployment" else "deployments-only"
    assert run(*listing, other).stderr == f"Account '{other}' has no {what}.\n"
    assert run(*listing, "nobody").stderr == "There is no account 'nobody' that has keys or deployments.\n"


# Which registry.


def test_a_database_may_be_named_by_the_configuration_wherever_one_stands(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("database: sqlite+aiosqlite:///gateway.db")
    made = read(run("keys", "create", "--config", str(config), "--account", "acme", "--name", "x", "--json"))
    assert (tmp_path / "gateway.db").is_file()
    listed = read(run("keys", "list", "--json", env={"GGUF_GATEWAY_CONFIG": str(config)}))
    assert [key["id"] for key in listed] == [made["id"]]


def test_an_argument_goes_before_the_environment(run: Run, config: Path) -> None:
    create(run)
    listed = read(run("keys", "list", "--database", "DB", "--json", env={"GGUF_GATEWAY_CONFIG": str(config)}))
    assert [key["name"] for key in listed] == ["laptop"]
    assert listed[0]["id"].startswith("key_")


def test_one_registry_must_be_named_and_only_one(run: Run, config: Path) -> None:
    nothing = run("keys", "list", env={"GGUF_GATEWAY_CONFIG": "", "GGUF_GATEWAY_DATABASE": ""})
    both = run("keys", "list", "--config", str(config), "--database", "DB")
    assert (nothing.exit_code, both.exit_code) == (2, 2)
    assert "--config FILE or --database FILE" in nothing.stderr


def test_accounts_in_the_file_are_listed_but_not_changed(run: Run, config: Path) -> None:
    assert [key["id"] for key in read(run("keys", "list", "--config", str(config), "--json"))] == ["acme/laptop"]
    assert [one["id"] for one in read(run("deployments", "list", "--config", str(config), "--json"))] == ["demo"]
    before = config.read_text()
    for arguments in (
        ["keys", "create", "--account", "a", "--name", "n"],
        ["keys", "revoke", "acme/laptop"],
        ["keys", "rotate", "acme/laptop"],
        ["deployments", "pause", "demo"],
        ["deployments", "remove", "demo"],
    ):
        result = run(*arguments, "--config", str(config))
        assert result.exit_code == 1
        assert re.fullmatch(r".* holds its accounts itself: edit it .* gguf-gateway import .*\n", result.stderr)
    assert config.read_text() == before


FAILURES = [
    (["keys", "list", "--database", "DB"], "there is no such database"),
    (["keys", "revoke", "x", "--database", "DB"], "there is no such database"),
    (["deployments", "pause", "x", "--database", "DB"], "there is no such database"),
    (["keys", "list", "--database", "/"], "is not a file"),
    (["keys", "list", "--database", os.devnull], "is not a file"),
    (["keys", "list", "--database", "sqlite+aiosqlite:///x.db?mode=ro&key=CANARY"], "parameters (`?...`) are not"),
    (["keys", "list", "--database", "nosuchdb://u:CANARY@h/d"], "this kind of database is unknown"),
    (["keys", "list", "--config", "/nowhere.yaml"], "cannot be read: no such file or directory"),
    (["check", "--config", "/"], "is not a file"),
    (["keys", "create", "--database", "/proc/x.db", "--account", "a", "--name", "n"], "/proc/x.db"),
    (["keys", "create", "--database", "/nowhere/x.db", "--account", "a", "--name", "n"], "its folder does not exist"),
    (["keys", "create", "--database", "DB", "--account", "a b", "--name", "n"], "Invalid account"),
    (["keys", "create", "--database", "DB", "--account", "a", "--name", "\x1b[31m"], "Invalid name"),
    (["keys", "create", "--database", "DB", "--account", "a", "--name", "\udcff"], "Invalid name"),
    (["import", "/nowhere.yaml", "--database", "DB"], "cannot be read: no such file or directory"),
]


@pytest.mark.parametrize(("arguments", "said"), FAILURES)
def test_a_failure_is_one_line_and_no_traceback(arguments: list[str], said: str, run: Run) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "CANARY" not in result.stderr


def test_an_empty_file_is_said_to_be_one_and_the_named_command_fills_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.db").touch()
    result = run("keys", "list", "--database", "DB")
    assert result.exit_code == 1
    assert "gateway.db: holds nothing yet; `gguf-gateway keys create --database FILE ...`" in result.stderr
    create(run)
    assert run("keys", "list", "--database", "DB").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "create", "--database", "DB", "--account", "a"],
        ["keys", "create", "--database", "DB", "--account", "a", "--name", "n", "--expires-at", "tomorrow"],
        ["keys", "create", "--database", "DB", "--account", "a", "--name", "n", "--expires-at", "2027-01-01"],
        ["deployments", "add", "x", "--database", "DB", "--account", "a", "--upstream", "http://h", "--status", "up"],
        ["deployments", "add", "x", "--database", "DB", "--account", "a", "--upstream", "http://h", "--connect", "x"],
    ],
)
def test_an_argument_that_is_wrong_in_itself_is_a_usage_error(arguments: list[str], run: Run) -> None:
    assert run(*arguments).exit_code == 2


# Check, import, hash-key, schema.


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
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as database, database:
        database.execute("ALTER TABLE deployments DROP COLUMN queue")  # as the first version left it
        database.execute("UPDATE gateway_schema SET version_num = '0001'")
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


def test_import_moves_a_file_into_a_database(run: Run, config: Path, tmp_path: Path) -> None:
    first = run("import", str(config), "--database", "DB")
    assert first.output == "Keys: 1 added, 0 already there. Deployments: 1 added, 0 already there.\n"
    assert read(run("import", str(config), "--database", "DB", "--json")) == {
        "keys_added": 0,
        "keys_known": 1,
        "deployments_added": 0,
        "deployments_known": 1,
        "deployments_kept": {},
        "deployments_overwritten": {},
    }
    assert shown(run)["id"] == "demo"
    assert KEY.encode() not in b"".join(file.read_bytes() for file in tmp_path.glob("gateway.db*"))
    config.write_text("database: gateway.db")
    assert "names a database itself" in run("import", str(config), "--database", "DB").stderr


def test_import_leaves_a_paused_deployment_paused_and_says_so(run: Run, config: Path) -> None:
    run("import", str(config), "--database", "DB")
    run("deployments", "pause", "demo", "--database", "DB")
    again = run("import", str(config), "--database", "DB")
    assert again.stdout.splitlines()[1:] == ["Kept, though it differs from the file: demo (status)."]
    assert shown(run)["status"] == "paused"
    overwriting = run("import", str(config), "--database", "DB", "--overwrite")
    assert overwriting.stdout.splitlines()[1:] == ["Overwritten with what the file says: demo (status)."]
    assert shown(run)["status"] == "auto"


@pytest.mark.parametrize("typed", [KEY, KEY + "\n", KEY + "\r\n"])
def test_hash_key_reads_the_key_from_standard_input(typed: str, run: Run) -> None:
    assert run("hash-key", stdin=typed).stdout == digest_of(KEY).hex() + "\n"


def test_hash_key_makes_a_new_key_if_asked(run: Run) -> None:
    made = read(run("hash-key", "--new", "--json"))
    assert digest_of(made["key"]).hex() == made["key_sha256"]


@pytest.mark.parametrize("typed", ["", "short\n", "with space\n", "ключключ\n"])
def test_what_is_no_key_is_not_hashed(typed: str, run: Run) -> None:
    result = run("hash-key", stdin=typed)
    assert (result.exit_code, result.stdout) == (1, "")


def test_the_schema_is_printed_as_json(run: Run) -> None:
    assert read(run("schema")) == json_schema()


# As a process.


def test_no_option_takes_a_secret() -> None:
    named = {"key", "secret", "token", "password", "upstream-key"}
    options: list[str] = []

    def walk(command: Any) -> None:
        options.extend(option.lstrip("-") for parameter in command.params for option in parameter.opts)
        for name in getattr(command, "commands", {}):
            walk(command.commands[name])

    for name in ("check", "keys", "deployments", "import", "hash-key", "schema"):
        walk(main.get_command(None, name))  # type: ignore[arg-type]
    assert "upstream-key-env" in options
    assert not named & set(options)


def process(*arguments: str, stdout: Any, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@contextmanager
def full() -> Iterator[int]:
    """A device on which no space is left."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    device = os.open("/dev/full", os.O_WRONLY)
    yield device
    os.close(device)


@contextmanager
def left() -> Iterator[int]:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize(("unwritable", "as_json"), [(full, ()), (left, ("--json",))])
def test_a_key_that_could_not_be_printed_is_revoked_again(
    unwritable: Callable[[], AbstractContextManager[int]], as_json: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    old, database = create(run)["id"], str(tmp_path / "gateway.db")
    for command in (["create", "--account", "acme", "--name", "new"], ["rotate", old]):
        with unwritable() as stdout:
            done = process("keys", *command, "--database", database, *as_json, stdout=stdout)
        assert done.returncode == 1
        key = read(run("keys", "list", "--database", "DB", "--json"))[-1]
        assert key["state"] == "revoked"
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("Standard output cannot be written: ")
        called = f"Key {key['id']} ({key['name']}) of account acme"
        assert f"{called} was shown to nobody and is revoked again." in done.stderr
    assert f"The old one, {old}, works until" in done.stderr


@pytest.mark.parametrize("command", [("schema",), ("contract",), ("contract", "--json")])
def test_a_full_disk_is_said_in_one_line(command: tuple[str, ...]) -> None:
    with full() as stdout:
        done = process(*command, stdout=stdout)
    said = "Standard output cannot be written: no space left on device.\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_who_reads_only_a_part_is_told_nothing() -> None:
    with left() as stdout:
        done = process("schema", stdout=stdout)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_standard_output_is_said_in_one_line() -> None:
    shell = f"{sys.executable} -m gateway schema >&-"
    done = subprocess.run(["/bin/sh", "-c", shell], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Standard output cannot be written: it is closed.\n")


def test_what_the_encoding_cannot_say_is_replaced_and_in_json_escaped() -> None:
    table = process("contract", stdout=subprocess.PIPE, PYTHONIOENCODING="latin-1")
    assert (table.returncode, table.stderr) == (0, "")
    assert "?" in table.stdout
    said = process("schema", stdout=subprocess.PIPE, PYTHONIOENCODING="latin-1")
    assert json.loads(said.stdout) == json_schema()


_AS_NOBODY = """
import os, sys  # imported first: the code may be hidden from that user, too
from gateway.cli import check, deployments, import_command, keys, main, serve
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "command",
    [["check", "--config"], ["serve", "--config"], ["keys", "list", "--config"], ["import", "--database", "x.db"]],
    ids=lambda command: command[0],
)
def test_a_configuration_that_may_not_be_read_is_one_line_no_usage_error(command: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:  # `tmp_path` is closed to other users
        Path(folder).chmod(0o755)
        path = Path(folder, "gateway.yaml")
        path.write_text(GOOD)
        path.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, *command, str(path)], capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, f"{path}: cannot be read: permission denied\n")


def test_the_command_works_in_bare_surroundings(tmp_path: Path) -> None:
    """As in a container: no HOME, no terminal, the C locale, assertions and docstrings stripped, a closed stdin."""
    done = subprocess.run(
        [
            sys.executable,
            "-OO",
            "-m",
            "gateway",
            "keys",
            "create",
            "--database",
            "x.db",
            "--account",
            "a",
            "--name",
            "ü",
        ],
        env={"PATH": os.environ["PATH"], "LANG": "C"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("gw_")


def test_on_a_terminal_the_table_is_coloured_and_in_a_pipe_it_is_plain(run: Run, tmp_path: Path) -> None:
    create(run, "[red]")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gateway", "keys", "list", "--database", str(tmp_path / "gateway.db")]
    subprocess.run(command, stdout=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "120"}, check=True)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert "\x1b[32mvalid" in shown
    assert "[red]" in shown
    assert "\x1b" not in run("keys", "list", "--database", "DB").output


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert "Traceback" not in done.stderr


def test_a_sandbox_whose_port_is_taken_says_how_to_choose_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "gateway", "sandbox", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Port {port} on 127.0.0.1 is taken.")
    assert done.stderr.endswith("with --port. With make, that is: make run PORT=8081\n")


def on_a_terminal(columns: int, *arguments: str) -> list[str]:
    """The lines that a command shows on a terminal so wide, without their colours."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    subprocess.run([sys.executable, "-m", "gateway", *arguments], stdout=theirs, env=environ, check=True)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()]


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_on_a_terminal_of_any_width_no_id_time_or_heading_is_broken(run: Run, tmp_path: Path, columns: int) -> None:
    key = create(run)
    successor = read(run("keys", "rotate", key["id"], "--database", "DB", "--json"))
    lines = on_a_terminal(columns, "keys", "list", "--database", str(tmp_path / "gateway.db"))
    assert all(len(line) <= columns or columns < 40 for line in lines)
    assert len(lines) == (3 if columns >= 80 else 11 + lines.count(""))
    words = "\n".join(lines)
    for word in (key["id"], successor["id"], "SUCCESSOR OF", "EXPIRES", "laptop", "never"):
        assert word in words
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", words)


def test_on_a_terminal_long_cells_are_folded_and_others_not() -> None:
    lines = on_a_terminal(80, "contract")
    assert all(len(line) <= 80 for line in lines)
    assert any(line.startswith("503") and "overloaded_error" in line for line in lines)
