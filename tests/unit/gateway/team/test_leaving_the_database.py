"""The team's database is left once nothing is under way in it: the driver's thread needs the event loop until then."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from tests.harness.pages.team_pages import team_serving
from tests.harness.patience import PATIENCE
from tests.harness.storage.databases import locked


@contextmanager
def a_transaction_begins() -> Iterator[asyncio.Event]:
    """Tells of one that is about to: when it is heard of, the database has been asked."""
    begins = asyncio.Event()

    def beginning(_connection: Connection) -> None:
        begins.set()

    event.listen(Engine, "begin", beginning)
    try:
        yield begins
    finally:
        event.remove(Engine, "begin", beginning)


async def test_a_change_that_is_cancelled_in_line_is_over_before_the_end(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team:

        async def wait_in_line() -> None:
            async with team.database.begin():
                pytest.fail("nobody else writes")

        async with asyncio.timeout(PATIENCE), locked(tmp_path / "gateway.db"):
            with a_transaction_begins() as begins:
                change = asyncio.create_task(wait_in_line())
                await begins.wait()
            change.cancel()  # as the HTTP server does where a request is under way for too long at the end
            leaving = asyncio.create_task(team.database.close())
            await asyncio.sleep(0)
        await leaving
        assert change.cancelled()
