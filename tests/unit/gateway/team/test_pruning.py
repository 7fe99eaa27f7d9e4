"""The audit log is pruned while the database is open, never left in the middle of it, and numbered on."""

import asyncio
import sqlite3
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.registry.database.sqlite_file import WRITE_PATIENCE
from gateway.team import audit
from gateway.team.models.accounts import NewAccount
from tests.harness.pages.team_pages import team_serving
from tests.harness.patience import PATIENCE


class Slow:
    """Takes its time to open a database for the pruning, and says when it has begun to."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.is_over = threading.Event()
        self._connect = sqlite3.connect

    def __call__(self, *given: Any, **further: Any) -> Any:
        if further.get("timeout") == WRITE_PATIENCE:
            self.has_begun.set()
            time.sleep(0.1)
            self.is_over.set()
        return self._connect(*given, **further)


def test_who_leaves_at_once_leaves_no_thread_without_its_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[object] = []
    monkeypatch.setattr(threading, "excepthook", faults.append)

    async def come_and_go() -> Slow:
        async with team_serving(tmp_path):
            slow = Slow()
            monkeypatch.setattr(sqlite3, "connect", slow)
            assert await asyncio.to_thread(slow.has_begun.wait, PATIENCE)
        return slow

    slow = asyncio.run(come_and_go())
    assert slow.is_over.is_set()
    assert faults == []


async def test_the_newest_row_stays_so_that_no_number_comes_again(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme", "beta") as team:
        newest = (await team.do("audit.list")).items[0].id
        async with team.database.begin() as connection:
            assert await audit.forget(connection, timedelta()) == newest - 1
        await team.do("accounts.create", asked=NewAccount(id="gamma"))
        assert [row.id for row in (await team.do("audit.list")).items] == [newest + 1, newest]
