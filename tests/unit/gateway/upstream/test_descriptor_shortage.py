"""A connection for which there is no file descriptor: it is waited for, and what is kept for upstreams is used."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.core.deployment import Deployment, Limits, Timeouts
from gateway.proxy.queue.deployment_line import BusyError
from gateway.server.process.open_files import DescriptorReserve
from tests.harness.pools import SOMEBODY, pool_of

_ALONE = "TESTED_ALONE"  # in the environment of the process that runs these, because they take all its descriptors
alone = pytest.mark.skipif(_ALONE not in os.environ, reason="run by test_all_of_it_in_a_process_of_its_own")


@pytest.mark.slow
@pytest.mark.skipif(_ALONE in os.environ, reason="it is the process that was started")
def test_all_of_it_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env={**os.environ, _ALONE: "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Whoever opens a file or a socket in here is told that too many are open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def deployment(port: int) -> Deployment:
    limits, timeouts = Limits(8, 8), Timeouts(0.2, 1.0, 1.0, 1.0)
    return Deployment("demo", "acme", f"http://127.0.0.1:{port}", limits=limits, timeouts=timeouts)


@pytest.fixture
def port() -> Iterator[int]:
    """Somebody listens here, and never accepts: the kernel does it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@alone
async def test_without_a_descriptor_a_request_is_told_that_it_is_busy(port: int) -> None:
    pool = pool_of(deployment(port))
    with no_descriptor_left(), pytest.raises(BusyError, match="no file descriptor is left"):
        await pool.connect(SOMEBODY)
    pool.release(await pool.connect(SOMEBODY), reusable=False)
    assert pool.connections["in_use"] == 0


@alone
async def test_a_descriptor_that_becomes_free_is_waited_for(port: int) -> None:
    pool = pool_of(deployment(port))
    with no_descriptor_left():
        connecting = asyncio.create_task(pool.connect(SOMEBODY))
        await asyncio.sleep(0.05)
        assert not connecting.done()
    pool.release(await connecting, reusable=False)


@alone
async def test_descriptors_that_are_kept_for_upstreams_are_used_and_taken_back(port: int) -> None:
    reserve = DescriptorReserve(2)
    pool = pool_of(deployment(port), free_descriptor=reserve.let_one_go)
    with no_descriptor_left():
        connections = [await pool.connect(SOMEBODY) for _ in range(2)]
        assert not reserve.let_one_go()
        with pytest.raises(BusyError):
            await pool.connect(SOMEBODY)
    for connection in connections:
        pool.release(connection, reusable=False)
    while not reserve.let_one_go():
        await asyncio.sleep(0.05)
    reserve.close()
