"""What a gateway that serves has imported: all else comes when somebody first asks for it, or is left to a child."""

import sys
from pathlib import Path

import pytest

from tests.harness import scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.fork_server import fork_server
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat

# What judges a configuration, what a team needs, what draws its pages, and what some of them bring along.
_NEVER = {
    *("pydantic", "pydantic_core", "annotated_types", "yaml", "difflib"),
    *("sqlalchemy", "alembic", "aiosqlite", "argon2", "cryptography", "joserfc"),
    *("jinja2", "aiohttp_jinja2", "pygal", "prometheus_client", "rich"),
    *("importlib.metadata", "importlib.resources", "statistics", "zoneinfo", "frozenlist._frozenlist"),
    "gateway.config.settings",
    "gateway.registry.start_configuration",
    "gateway.server.handlers.dashboard_drawing",
    "gateway.server.pages.front_page",
    "gateway.server.pages.layout",
    "gateway.server.admin_api.dispatch",
    "gateway.team.models",
    "gateway.team.operations",
}
_OF_A_DATABASE = {"sqlite3", "gateway.registry.database.sqlite_reader", "gateway.usage.ledger.sqlite_writer"}
# Runs a command, and writes down in the end what its process has imported; a worker into a file of its own.
_SCRIPT = """
import atexit, os, runpy, sys
from pathlib import Path

def write():
    Path(__file__).with_name(f"{os.getpid()}.modules").write_text("\\n".join(sys.modules))

atexit.register(write)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("has_database", [False, True])
def test_a_gateway_serves_with_what_serving_needs(
    tmp_path: Path, start_gateway: StartGateway, upstream: ScriptedUpstream, workers: int, has_database: bool
) -> None:
    script, config = tmp_path / "script.py", scene.config(upstream.url, f"workers: {workers}")
    script.write_text(_SCRIPT)
    if has_database:
        config = _moved_to(tmp_path / "gateway.db", config)
    gateway = start_gateway(config, prefix=(sys.executable, "-P", str(script)))
    assert gateway.ask(chat()).status == 200
    assert gateway.stop() == 0
    loaded = [set(path.read_text().split()) for path in tmp_path.glob("*.modules")]
    assert len(loaded) == (1 if workers == 1 else 3)
    for modules in loaded:
        assert modules & _NEVER == set()
    serving = max(loaded, key=len)
    assert serving >= {"aiohttp.web", "gateway.server.fast_path.fast_path"}
    assert serving & _OF_A_DATABASE == (_OF_A_DATABASE if has_database else set())


def _moved_to(database: Path, config: str) -> str:
    """The same configuration with its accounts and deployments in a database."""
    file = database.with_name("before.yaml")
    file.write_text(config)
    assert fork_server().run(("import", str(file), "--database", str(database))).returncode == 0
    return f"{config.splitlines()[0]}\ndatabase: sqlite:///{database}\n"
