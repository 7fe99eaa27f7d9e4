"""Streams of those who only watch end when the gateway stops, whatever they are at then."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web

from gateway.server.activity.watchers import Watchers

APP = web.Application()
REQUEST = cast(web.Request, SimpleNamespace(protocol=SimpleNamespace(is_unread=False)))


async def test_who_is_slow_to_end_may_be_told_twice() -> None:
    watchers, begun, let_end = Watchers(), asyncio.Event(), asyncio.Event()

    async def watch() -> None:
        async with watchers.until_closed(REQUEST, "ada"):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                begun.clear()
                await let_end.wait()

    watching = asyncio.create_task(watch())
    await begun.wait()
    assert watchers.number_of("ada") == 1
    await watchers.close(APP)
    while begun.is_set():
        await asyncio.sleep(0)
    await watchers.close(APP)
    let_end.set()
    await watching
    assert watchers.number_of("ada") == 0


async def test_a_time_limit_of_another_is_not_taken_for_the_stop() -> None:
    with pytest.raises(TimeoutError, match="a database's"):
        async with Watchers().until_closed(REQUEST):
            raise TimeoutError("a database's")
