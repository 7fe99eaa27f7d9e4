"""The audit log is pruned while the database is open, and never left in the middle of it."""

import asyncio
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.registry.database.sqlite_file import WRITE_PATIENCE
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
