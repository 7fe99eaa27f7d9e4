"""Viewers of the status page, in a process of their own: each reads its stream of events, and throws it away.

`python -m scripts.scaling.viewers PORT NUMBER` prints `open` once all have had their first event.
"""

import asyncio
import sys


async def _view(port: int, first: asyncio.Semaphore, opened: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
    async with first:  # as people come: not all in one moment
        await reader.readuntil(b"event: ")
    opened.set()
    while await reader.read(1 << 20):
        pass


async def _watch(port: int, number: int) -> None:
    first = asyncio.Semaphore(4)
    opened = [asyncio.Event() for _ in range(number)]
    views = [asyncio.create_task(_view(port, first, each)) for each in opened]
    for each in opened:
        await each.wait()
    print("open", flush=True)
    await asyncio.gather(*views)


if __name__ == "__main__":
    asyncio.run(_watch(int(sys.argv[1]), int(sys.argv[2])))
