"""The port of a mock, as it closes and opens."""

import asyncio
import gc
import socket

from aiohttp import web

from mockserver.core.listening.listener import Listener
from mockserver.core.listening.port import Port
from tests.harness.patience import PATIENCE


async def test_who_comes_at_the_moment_of_its_close_is_cut_and_not_forgotten() -> None:
    """A connection that asyncio loses would be noticed by the collector, and a warning is an error here."""
    door = Listener(web.Application(), Port("127.0.0.1", 0))
    door.hold()
    for turns in [*range(6)] * 5:
        await door.open()
        with socket.socket() as client:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", door.port))
            for _ in range(turns):
                await asyncio.sleep(0)
            await door.close()
            client.settimeout(PATIENCE)
            try:
                assert client.recv(1) == b""
            except ConnectionResetError:
                continue
    await door.release()
    gc.collect()
