"""Runs the gateway until it is told to stop, and then lets it finish what it has begun."""

import asyncio
import contextlib
import gc
import logging
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiohttp import web

from gateway.config.document import counted
from gateway.config.server_settings import Server
from gateway.core.worker_group import ALONE, WorkerGroup
from gateway.proxy.relay import RELAY, Relay
from gateway.registry.base import Registry
from gateway.server.activity.watchers import WATCHERS
from gateway.server.app import create_admin_app, create_app
from gateway.server.fast_path.demultiplexer import COLLECTING_SECONDS
from gateway.server.handlers.dashboard import PAGE
from gateway.server.handlers.probes import SHUTDOWN, Shutdown
from gateway.server.http_server import Runner
from gateway.server.process.connection_limit import ConnectionLimit
from gateway.server.process.listen_address import ADMIN_PORT, PORT, Reached, listen, open_sockets, url_of
from gateway.server.process.open_files import DescriptorReserve, most_clients, raise_limit
from gateway.server.process.signals import StopRequests
from gateway.telemetry.exception_handler import ExceptionHandler

log = logging.getLogger("gateway")

_BACKLOG = 1024  # connections the kernel holds while the event loop is busy; its default of 128 drops bursts
_RESERVED_DESCRIPTORS = 64  # at most; beyond them upstreams get what clients leave, which is half of all
_UNREAD_SECONDS = 0.02  # between two looks at whether clients have read on
# How long a thread that works beside the event loop keeps it waiting each time. Python's own 5 ms would add up: a
# request takes several turns.
_SWITCH_SECONDS = 0.0005
_CUT_SECONDS = 1.0  # for the last words of a stream that is cut to reach its client


class ServeArguments(NamedTuple):
    """What a process serves with: the arguments of `serve`, all but the registry."""

    server: Server
    announce: Callable[[Reached], None]
    stop_pipe: int | None
    group: WorkerGroup = ALONE


async def serve(
    server: Server,
    registry: Registry,
    announce: Callable[[Reached], None],
    stop_pipe: int | None = None,
    group: WorkerGroup = ALONE,
    *,
    extend: Callable[[web.Application], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `announce` gets the gateway's URLs once it accepts connections.

    At the first signal `/readyz` says 503. After `server.timeouts.before_drain` seconds the gateway stops accepting
    and lets answers finish for `server.timeouts.drain` seconds, then cuts them so that their clients see it. Who only
    watches is let go before. A second signal cuts at once. What is for the operator alone is served until the end. The
    end of `stop_pipe`, a file descriptor, counts as a signal: the process that holds its other end is gone. A worker of
    a `group` shares the port, and is told by its supervisor instead of by signals. `extend` may add to the application
    before it starts.
    Raises SourceError if the registry cannot be read, ListenError if the address cannot be used.
    """
    asyncio.get_running_loop().set_exception_handler(ExceptionHandler())
    sys.setswitchinterval(_SWITCH_SECONDS)
    stop = _stop_requests(registry, stop_pipe, group)
    raise_limit()
    most = most_clients()
    reserve = DescriptorReserve(min(most, _RESERVED_DESCRIPTORS))
    app = create_app(server, registry, group, reserve.let_one_go)
    if extend is not None:
        extend(app)
    limit = ConnectionLimit(most)  # one for both ports: they have their file descriptors in common
    runner = Runner(app, server, limit)
    admin = Runner(create_admin_app(app), server, limit, proxies=False)
    try:
        await runner.setup()
        sites = await _listen(runner, server.host, server.port, shared=group.size > 1)
        if server.admin is not None:
            app[PAGE].clients_port = runner.addresses[0][1]
            await admin.setup()
            await _listen(admin, server.admin.host, server.admin.port, ADMIN_PORT, shared=group.size > 1)
        _spare_the_collector()
        announce(Reached(_urls(runner), _urls(admin)))
        await stop.first.wait()
        await _announce_shutdown(app[SHUTDOWN], server.timeouts.before_drain, stop.second)
        for site in sites:
            await site.stop()
        if server.admin is None:  # else none of them is at the clients' port
            await app[WATCHERS].close(app)
        await _drain(app[RELAY], runner, server.timeouts.drain, stop.second)
    finally:
        await admin.cleanup()
        await runner.cleanup()
        reserve.close()


def _stop_requests(registry: Registry, stop_pipe: int | None, group: WorkerGroup) -> StopRequests:
    stop = StopRequests(registry)
    if group.supervisor is None:
        stop.listen_to_signals()
    else:
        stop.listen_to_supervisor(group.supervisor)
    if stop_pipe is not None:
        stop.listen_to_pipe(stop_pipe)
    return stop


def _spare_the_collector() -> None:
    """What was loaded to serve stays for good: the garbage collector need not walk through it, not even once.

    Of 100,000 objects 2,000 are garbage by now, and looking for them takes a tenth of the start.
    """
    gc.freeze()
    gc.enable()  # which may have been off until now
    gc.set_threshold(10_000, 20, 50)  # a request leaves no cycles behind; young objects are few and die young


async def _listen(
    runner: Runner, hosts: Sequence[str], port: int, setting: str = PORT, *, shared: bool
) -> list[web.SockSite]:
    sockets = open_sockets(hosts, port, setting, shared=shared)
    listen(sockets, hosts, port, setting, _BACKLOG)
    sites = [web.SockSite(runner, one, backlog=_BACKLOG) for one in sockets]
    for site in sites:
        await site.start()
    return sites


def _urls(runner: Runner) -> tuple[str, ...]:
    return tuple(url_of(address) for address in runner.addresses)


async def _announce_shutdown(shutdown: Shutdown, seconds: float, hurry: asyncio.Event) -> None:
    """Let load balancers see that it stops, and serve whoever comes until they have."""
    shutdown.is_announced = True
    if seconds:
        log.info("stopping in %g s: /readyz says 503, and requests are served; a second signal ends them now", seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await hurry.wait()


async def _drain(relay: Relay, runner: Runner, seconds: float, hurry: asyncio.Event) -> None:
    await asyncio.sleep(2 * COLLECTING_SECONDS)  # what has begun to arrive is received by then
    begun = relay.under_way + len(runner.unread())
    under_way = counted(begun, "request")
    log.info("stopping: %s in progress, %g s to finish; a second signal ends them now", under_way, seconds)
    drained = asyncio.create_task(_finish(relay, runner))
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait((drained, hurried), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    cut = len(runner.unread()) + relay.cut_all()
    await asyncio.wait((drained,), timeout=_CUT_SECONDS)
    drained.cancel()
    for connection in runner.unread():
        connection.reset()  # closed properly, a part of a body without a length would look whole
    finished = max(begun - cut, 0)  # who came while it stopped is among those that were cut
    log.info("stopped: %d finished, %d cut", finished, cut)


async def _finish(relay: Relay, runner: Runner) -> None:
    """Wait until nothing is under way, and clients have read what they were sent."""
    await relay.drain()
    while runner.unread():  # noqa: ASYNC110  no event tells that a transport's buffer is empty
        await asyncio.sleep(_UNREAD_SECONDS)
