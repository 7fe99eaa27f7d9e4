"""The guide to a team, by command: its sessions are typed into a shell, beside a gateway that runs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.docs_pages import ROOT
from tests.docs.typed_sessions import they_print_what_they_say
from tests.harness.processes.gateway_process import GatewayProcess

pytestmark = pytest.mark.slow

_ADDRESS = "https://models.example.org"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    """It runs from the start: on a database that is empty, made before the page's first command."""
    config = tmp_path / "served.yaml"
    config.write_text("server: {port: 0}\ndatabase: gateway.db\n")
    made = (sys.executable, "-m", "gateway", "accounts", "--database", str(tmp_path / "gateway.db"))
    subprocess.run((*made[:4], "add", "none", *made[4:]), check=True)
    subprocess.run((*made[:4], "remove", "none", *made[4:]), check=True)
    one = GatewayProcess(config).wait_until_serving()
    yield one
    one.stop()


def test_the_teams_sessions_print_what_the_page_says(gateway: GatewayProcess, tmp_path: Path) -> None:
    def here(command: str) -> str:
        return command.replace(_ADDRESS, f"http://127.0.0.1:{gateway.port}")

    assert they_print_what_they_say(ROOT / "docs" / "operate" / "team.md", tmp_path, here)
