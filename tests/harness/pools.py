"""A pool of connections by itself, with a line of its own, who asks it for places, and requests on its connections."""

import asyncio

from gateway.core.deployment import Deployment
from gateway.proxy.queue.deployment_line import Claimant
from gateway.proxy.queue.lines import Lines
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.connection_pool import ConnectionPool, FreeDescriptor
from gateway.proxy.upstream.response_head import ResponseHead, UpstreamError

SOMEBODY = Claimant("key", "acme", is_batch=False, key_weight=1, account_weight=1)


def pool_of(deployment: Deployment, free_descriptor: FreeDescriptor = lambda: False) -> ConnectionPool:
    """The pool of a deployment that nobody else knows of."""
    return ConnectionPool(deployment, Lines().of(deployment), free_descriptor)


class WholeAnswer:
    """A receiver that waits for the end of an answer."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def whole_received(self, head: ResponseHead, body: bytes) -> None:
        self.head_received(head)
        self.body_received(body, True)

    def head_received(self, head: ResponseHead) -> None: ...

    def body_received(self, data: bytes, last: bool) -> None:
        if last:
            self.event.set()

    def broken(self, error: UpstreamError) -> None:
        raise AssertionError(error)


async def answer_on(connection: UpstreamConnection) -> None:
    """Send a request on this connection, and wait for all of its answer."""
    answer = WholeAnswer()
    connection.send_request(answer, b"GET / HTTP/1.1\r\n\r\n")
    await answer.event.wait()


async def ask(pool: ConnectionPool) -> UpstreamConnection:
    """Send a request on a connection of this pool and wait for its answer; the connection, which was given back."""
    connection = await pool.connect(SOMEBODY)
    await answer_on(connection)
    pool.release(connection)
    return connection
