"""An acknowledged key is never lost, and a key's text never written, however often the writer is killed."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from gateway.core.secret_text import digest_of
from tests.harness.patience import PATIENCE

KILLS = 50
# One process imports the gateway, and forks a writer for every kill: a fork costs nothing, an import half a second.
# A writer does what `gguf-gateway keys create` does, again and again, and acknowledges each key by printing it.
WRITERS = """
import asyncio, os, signal, sys, time
from tests.harness.storage.changes import changing
import alembic.command

async def create(path, kill, most):
    for number in range(most):
        async with changing(path, create=True) as change:
            key, text = await change.create_key("acme", f"kill-{kill}-{number}", create_account=True)
        os.write(1, f"{key.id} {text}\\n".encode())

def start(kill, most):
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(create(sys.argv[1], kill, most))
        finally:
            os._exit(1)
    return child

began = time.monotonic()
os.waitpid(start("never", 4), 0)
time_of_four = time.monotonic() - began
for kill, pause in enumerate(map(float, sys.argv[2:])):
    child = start(kill, 10_000)
    time.sleep(min(pause * time_of_four, 1.5))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.write(1, b"killed\\n" if os.WTERMSIG(status) == signal.SIGKILL else b"died by itself\\n")
"""


@pytest.mark.slow
def test_fifty_kills_lose_no_acknowledged_key_and_leave_no_text_of_one(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "gateway.db"
    pauses = [f"{random.Random(f'{seed} {kill}').uniform(0.05, 0.8):.4f}" for kill in range(KILLS)]
    done = subprocess.run(
        [sys.executable, "-c", WRITERS, str(path), *pauses],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines.count("killed") == KILLS, done.stderr
    acknowledged = dict(line.split() for line in lines if line.startswith("key_"))
    assert len(acknowledged) > KILLS // 5

    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not any(text.encode() in written or text[3:43].encode() in written for text in acknowledged.values())

    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        kept = dict(database.execute("SELECT id, digest FROM keys").fetchall())
        changes = database.execute("SELECT number FROM revision").fetchone()[0]
    assert {key_id: kept.get(key_id) for key_id in acknowledged} == {
        key_id: digest_of(text).hex() for key_id, text in acknowledged.items()
    }
    # No half-made ones: every row is a whole change, and no more of them than were under way when the writer died.
    assert len(kept) == changes - 1
    assert len(kept) - len(acknowledged) <= KILLS


@pytest.mark.slow
def test_a_command_killed_while_it_works_leaves_a_database_that_works(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    place = ("--database", str(path), "--account", "a", "--create-account")
    command = [sys.executable, "-m", "gateway", "keys", "create", *place, "--name"]
    started = subprocess.Popen([*command, "killed"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while not path.exists() and started.poll() is None:
        time.sleep(0.001)
    started.send_signal(signal.SIGKILL)
    killed_text = started.communicate()[0].decode().strip()
    done = subprocess.run([*command, "next"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    with closing(sqlite3.connect(path)) as database:
        digests = {digest for (digest,) in database.execute("SELECT digest FROM keys")}
    assert digest_of(done.stdout.strip()).hex() in digests
    assert not killed_text or digest_of(killed_text).hex() in digests
