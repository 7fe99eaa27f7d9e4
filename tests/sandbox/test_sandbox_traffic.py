"""`sandbox --traffic`: a team is at work, all of it, and is gone with the sandbox."""

import json
import subprocess
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from gateway.cli.sandbox.traffic.habits import HABITS
from gateway.cli.sandbox.traffic.team import PEOPLE
from tests.harness.patience import wait_until
from tests.harness.processes.sandbox_command import COMMAND, sandbox_command


def test_every_key_of_the_team_has_a_habit() -> None:
    assert {name for names in PEOPLE.values() for name in names} == set(HABITS)


@pytest.mark.slow
def test_where_there_is_no_mock_to_work_on_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.yaml"
    path.write_text("accounts: {a: {keys: []}}\ndeployments: {}\n")
    command = [*COMMAND, "--config", str(path), "--port", "0", "--traffic"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: --traffic needs a deployment with a mock, of the definition's first account.\n"


@pytest.mark.slow
def test_everybody_is_at_work_and_it_ends_with_the_sandbox() -> None:
    with sandbox_command("--traffic") as sandbox:
        browser = build_opener(HTTPCookieProcessor(CookieJar()))
        browser.open(sandbox.said["sign_in_url"]).close()

        def keys_seen() -> set[str]:
            with browser.open(f"{sandbox.said['url']}/usage.json?by=key") as answer:
                return {row["key_name"] for row in json.load(answer)["rows"]}

        wait_until(lambda: keys_seen() >= set(HABITS), "not everybody was seen at work")
        with browser.open(f"{sandbox.said['url']}/usage.json?by=person") as answer:
            assert {row["person_name"] for row in json.load(answer)["rows"]} >= set(PEOPLE)
    assert sandbox.process.returncode == 0
