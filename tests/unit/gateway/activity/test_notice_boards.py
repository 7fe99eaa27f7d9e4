"""What workers tell each other, without the workers: two boards in one process."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from gateway.core.exchange import Exchange
from gateway.core.worker_group import WorkerGroup
from gateway.proxy.relay import Relay
from gateway.proxy.upstream.connection_pools import ConnectionPools
from gateway.server.activity.exchanges_under_way import ExchangesUnderWay
from gateway.server.activity.notice_boards import NoticeBoards
from gateway.telemetry.access_log import RecentRefusal
from tests.harness.patience import PATIENCE


class Carrying(Relay):
    """A relay that carries one exchange, and notes which are cut."""

    def __init__(self) -> None:
        super().__init__(1, 1.0)
        self.one = Exchange("id")
        self.one.key, self.one.account, self.one.deployment, self.one.endpoint = "key_1", "acme", "demo", "/v1/models"
        self.has_cut = asyncio.Event()
        self.usage_waits_since: float | None = None
        self.refused: list[RecentRefusal] = []

    def exchanges_under_way(self):  # type: ignore[no-untyped-def]
        return iter((self.one,))

    def cut(self, belongs, ending) -> int:  # type: ignore[no-untyped-def]
        if belongs(self.one):
            self.has_cut.set()
        return int(belongs(self.one))


def refusal(second: int) -> RecentRefusal:
    at = datetime(2026, 1, 1, 0, 0, second, 123456, UTC)
    return RecentRefusal(at, 503, "paused", "acme", "demo", None, "<b>")


@asynccontextmanager
async def two_workers(*, both_look: bool = True) -> AsyncIterator[tuple[list[Carrying], list[NoticeBoards]]]:
    files = [os.memfd_create(f"board-{number}") for number in (0, 1)]
    relays = [Carrying(), Carrying()]
    boards = [
        NoticeBoards(
            ExchangesUnderWay(relay, ConnectionPools(), number),
            ConnectionPools(),
            WorkerGroup(number, 2, (), None, files),
            lambda relay=relay: relay.usage_waits_since,  # type: ignore[misc]
            relay.refused,
        )
        for number, relay in enumerate(relays)
    ]
    looking = [asyncio.create_task(board.look_for_ever()) for board in boards[: 2 if both_look else 1]]
    yield relays, boards
    for one in looking:
        one.cancel()
    for file in files:
        os.close(file)


async def test_each_knows_what_both_carry_though_both_ask_at_once() -> None:
    async with two_workers() as (_, boards):
        for _ in range(3):
            seen = await asyncio.gather(*(board.carried() for board in boards))
            assert [(len(one.exchanges), one.silent) for one in seen] == [(2, 0), (2, 0)]


async def test_each_knows_what_both_have_refused_the_oldest_first() -> None:
    async with two_workers() as (relays, boards):
        made = [refusal(number) for number in range(4)]
        for number, one in enumerate(made):
            relays[number % 2].refused.append(one)
        for board in boards:
            assert (await board.carried()).refused == made


async def test_what_is_ended_at_one_is_cut_at_the_other() -> None:
    async with two_workers() as (relays, boards):
        [theirs] = [one for one in await boards[0].under_way() if one.id.startswith("act_1_")]
        await boards[0].end(theirs.id)
        await relays[1].has_cut.wait()
        assert not relays[0].has_cut.is_set()


async def test_who_does_not_say_in_time_is_counted_as_silent() -> None:
    async with two_workers(both_look=False) as (_, boards):
        seen = await boards[0].carried()
        assert (len(seen.exchanges), seen.silent) == (1, 1)


async def test_all_know_since_when_usage_waits_at_any_of_them() -> None:
    async with two_workers() as (relays, boards):
        for waits, told in (([None, None], None), ([None, 300.0], 300), ([200.0, 300.0], 200), ([None, None], None)):
            for relay, since in zip(relays, waits, strict=True):
                relay.usage_waits_since = since
            wanted = told and datetime.fromtimestamp(told, UTC)
            for board in boards:
                async with asyncio.timeout(PATIENCE):
                    while await board.usage_waiting_since() != wanted:
                        await asyncio.sleep(0.01)
