"""`gguf-gateway deployments` and `import`: what becomes of a deployment, and what it cannot be."""

from pathlib import Path

import pytest
import trustme

from tests.harness.processes.commands import Run, add, read, shown
from tests.harness.storage.config_files import GOOD, KEY


def test_a_deployment_goes_through_its_life(run: Run) -> None:
    assert add(run, "--connect", "1.5").exit_code == 0
    first = shown(run)
    assert first == {
        "id": "demo",
        "account": "acme",
        "status": "auto",
        "readiness": None,
        "upstream": "http://h:1",
        "has_upstream_key": False,
        "timeouts": {"connect": 1.5, "first_byte": 600.0, "silence": 600.0, "queue": 300.0},
        "limits": {"connections": None, "waiting": 256},
        "ping": None,
        "ca_file": None,
        "endpoints": ["openai", "anthropic"],
    }
    assert read(run("deployments", "pause", "demo", "--database", "DB", "--json")) == {"id": "demo", "done": "paused"}
    assert shown(run)["status"] == "paused"
    assert run("deployments", "resume", "demo", "--database", "DB").output == "Deployment demo is resumed.\n"
    assert shown(run)["status"] == "auto"
    row = run("deployments", "list", "--database", "DB").stdout.splitlines()[1]
    assert row.split() == ["demo", "acme", "auto", "-", "http://h:1"]
    assert run("deployments", "remove", "demo", "--database", "DB").exit_code == 0
    assert read(run("deployments", "list", "--database", "DB", "--json")) == []
    assert run("deployments", "list", "--database", "DB").stderr == "There is no deployment.\n"


def test_the_groups_of_endpoints_are_chosen_one_by_one(run: Run) -> None:
    assert add(run, "--endpoints", "native", "--endpoints", "openai").exit_code == 0
    assert shown(run)["endpoints"] == ["openai", "native"]
    run("deployments", "remove", "demo", "--database", "DB")
    assert "--endpoints: names a group twice" in add(run, "--endpoints", "native", "--endpoints", "native").output
    assert "'slots' is not one of 'openai', 'anthropic', 'native'" in add(run, "--endpoints", "slots").output


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
        (["--ca-file", "caf\udce9.pem"], {}, "", "--ca-file: must be the path of a file, in UTF-8"),
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
