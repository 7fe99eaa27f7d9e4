"""Table L: the database under a running gateway. (Most of it: test_database_sharing.py.)"""

import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness import contract, scene
from tests.harness.patience import AT_ONCE, PATIENCE, wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import COMMAND, GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat

pytestmark = pytest.mark.slow


FINE = {"object": "fine"}
# The superuser may write anywhere; without these rights he is as bound by a file's mode as anybody else.
MORTAL = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, shared_upstream: ScriptedUpstream) -> Path:
    """A database with the accounts and deployments of the scene."""
    folder = tmp_path_factory.mktemp("imported")
    config = folder / "gateway.yaml"
    config.write_text(scene.config(shared_upstream.url))
    config.chmod(0o600)
    database = folder / "gateway.db"
    command = (COMMAND[0], "import", str(config), "--database", str(database))
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    return database


@pytest.fixture
def database(imported: Path, tmp_path: Path) -> Path:
    """A copy for one case, in a folder of its own."""
    (tmp_path / "store").mkdir()
    return Path(shutil.copy(imported, tmp_path / "store"))


def config_of(database: Path) -> str:
    return f"server: {{port: 0}}\ndatabase: sqlite+aiosqlite:///{database}\n"


def serves(gateway: GatewayProcess) -> bool:
    """Whether known keys work, unknown ones do not, and none of it waits for the database, which takes 5 s each."""
    begun = time.monotonic()
    for _ in range(10):
        assert gateway.ask(chat()).json() == FINE
        assert contract.BAD_KEY.is_kept_by(gateway.ask(chat(key="gw_unknown")))
    return time.monotonic() - begun < AT_ONCE


def test_L11_a_database_that_another_program_holds_disturbs_no_request(
    start_gateway: StartGateway, upstream: ScriptedUpstream, database: Path
) -> None:
    gateway = start_gateway(config_of(database))
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        for _ in range(2):
            assert serves(gateway)
            time.sleep(0.3)  # it looks at the database all the time
        revoke = (COMMAND[0], "deployments", "pause", "demo", "--database", str(database))
        with subprocess.Popen(revoke, stderr=subprocess.PIPE) as pausing:
            assert serves(gateway)
            holder.execute("ROLLBACK")  # the command has waited for its turn
            assert pausing.wait(PATIENCE) == 0
        wait_until(lambda: gateway.ask(chat()).status == 503)


def test_L12_a_database_that_may_not_be_written_any_more_is_served_from(
    start_gateway: StartGateway, upstream: ScriptedUpstream, database: Path
) -> None:
    gateway = start_gateway(config_of(database), prefix=MORTAL)
    try:
        for path in database.parent.iterdir():
            path.chmod(0o400)
        database.parent.chmod(0o500)
        for _ in range(2):
            assert serves(gateway)
            time.sleep(0.3)
    finally:
        database.parent.chmod(0o700)


def test_L12_a_gateway_starts_on_a_database_that_it_may_only_read(
    start_gateway: StartGateway, upstream: ScriptedUpstream, database: Path
) -> None:
    before = database.read_bytes()
    database.chmod(0o400)
    assert serves(start_gateway(config_of(database), prefix=MORTAL))
    assert database.read_bytes() == before


def test_L12_in_a_folder_that_it_may_not_write_it_says_why_it_ends(
    start_gateway: StartGateway, upstream: ScriptedUpstream, database: Path
) -> None:
    """SQLite itself needs to write beside a database in WAL mode, even to read it."""
    before = database.read_bytes()
    database.chmod(0o400)
    database.parent.chmod(0o500)
    try:
        gateway = start_gateway(config_of(database), prefix=MORTAL, serves=False)
        assert gateway.wait() == 1
    finally:
        database.parent.chmod(0o700)
    gateway.log.wait_for_end()
    assert f"{database}: cannot be written by this user" in gateway.log.since(0)
    assert "Traceback" not in gateway.log.since(0)
    assert database.read_bytes() == before
