"""What schemathesis makes of the admin API's description, sent to a gateway that serves it."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.harness.pages.team_pages import team_serving
from tests.unit.gateway.team.admin_client import PREFIX, a_token

pytestmark = pytest.mark.slow

_SETTINGS = Path(__file__).with_name("schemathesis.toml")


async def test_the_api_does_what_its_description_says(tmp_path: Path, seed: int) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(_SETTINGS), "run"]
    async with team_serving(tmp_path, "acme") as team:
        options = ["--checks", "all", "--max-examples", "10", "--seed", str(seed), "--no-color", "--no-shrink"]
        options += ["--exclude-path", "/events"]  # which never ends
        header = ["--header", f"Authorization: Bearer {await a_token(team)}"]
        process = await asyncio.create_subprocess_exec(
            *command,
            *options,
            *header,
            f"{team.url}{PREFIX}/openapi.json",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
