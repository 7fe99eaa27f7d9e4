"""A gateway ends once nothing is under way in the team's database, which else would keep the event loop from ending."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from gateway.config.document import SourceError
from gateway.config.server_settings import Admin
from gateway.team.unit_of_work import TeamDatabase
from tests.harness.pages.team_pages import team_serving
from tests.harness.patience import PATIENCE
from tests.harness.storage.databases import locked


@contextmanager
def who_begins() -> Iterator["asyncio.Queue[asyncio.Task[None] | None]"]:
    """The tasks that are about to ask the database for a transaction: when they are heard of, they have."""
    heard: asyncio.Queue[asyncio.Task[None] | None] = asyncio.Queue()

    def beginning(_connection: Connection) -> None:
        heard.put_nowait(asyncio.current_task())

    event.listen(Engine, "begin", beginning)
    try:
        yield heard
    finally:
        event.remove(Engine, "begin", beginning)


async def change_something(database: TeamDatabase) -> None:
    async with database.begin():
        pass


async def waiting_change(
    database: TeamDatabase, heard: "asyncio.Queue[asyncio.Task[None] | None]"
) -> asyncio.Task[None]:
    """A change that waits for the database. One that stood behind another of this process has given up before."""
    while True:
        change = asyncio.create_task(change_something(database))
        change.add_done_callback(heard.put_nowait)
        while await heard.get() is not change:
            pass
        if not change.done():
            return change
        assert isinstance(change.exception(), SourceError)


@pytest.mark.parametrize("settings", [{}, {"admin": Admin(port=0)}], ids=["one port", "two ports"])
async def test_a_change_in_line_for_the_database_comes_to_its_end(settings: dict[str, object], tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), team_serving(tmp_path, **settings) as team:
        async with locked(tmp_path / "gateway.db"):
            with who_begins() as heard:
                change = await waiting_change(team.database, heard)
            ending = asyncio.create_task(team.pages.shutdown())
            await asyncio.sleep(0)
        await ending
        assert change.done()
        await change
        with pytest.raises(SourceError, match="the gateway is shutting down"):
            await change_something(team.database)
