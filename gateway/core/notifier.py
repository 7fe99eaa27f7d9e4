"""Wakes tasks that wait for a state change."""

import asyncio


class Notifier:
    """`notify` wakes every waiter. Cheap enough to call on every request when nobody waits."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Wake all who wait now."""
        if self._waiters:
            waiters, self._waiters = self._waiters, set()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def next_call(self) -> asyncio.Future[None]:
        """Done at the next call of `notify`. Cancel it, or wait for it."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        waiter.add_done_callback(self._waiters.discard)
        return waiter

    async def wait(self) -> None:
        """Sleep until the next call of `notify`."""
        await self.next_call()
