"""The guide to a team, by command: its sessions are typed into a shell, beside a gateway that runs."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.docs_pages import ROOT, examples, matches, turns
from tests.harness.processes.gateway_process import GatewayProcess

pytestmark = pytest.mark.slow

_PAGE = ROOT / "docs" / "operate" / "team.md"
_ADDRESS = "https://models.example.org"
_KEEP = "; export -p > kept.sh"  # for the next command


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
    for example in examples("console", "yaml", pages=[_PAGE]):
        if example.language == "yaml":
            assert example.file is not None
            (tmp_path / example.file).write_text(example.text, encoding="utf-8")
            continue
        for command, promised in turns(example.text):
            said = typed(command.replace(_ADDRESS, f"http://127.0.0.1:{gateway.port}"), tmp_path)
            assert matches(said, promised), f"{example}: {command}\n{said}"


def typed(command: str, folder: Path) -> str:
    """What a command prints, on both streams. What one exports, the next one finds."""
    (folder / "kept.sh").touch()
    path = f"{shlex.quote(str(Path(sys.executable).parent))}:{os.environ['PATH']}"
    done = subprocess.run(
        ("sh", "-c", f". ./kept.sh\nPATH={path}\n{command}{_KEEP}"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout
    return done.stdout
