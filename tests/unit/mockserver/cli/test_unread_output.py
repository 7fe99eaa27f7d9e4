"""A mock whose output nobody reads goes on."""

import asyncio
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from mockserver.cli.standard_streams import OutputWriter
from tests.harness.patience import AT_ONCE, PATIENCE
from tests.harness.sockets.rawhttp import ask


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """The ends of a pipe that takes not a byte more."""
    with ExitStack() as stack:
        ends = os.pipe()
        for end in ends:
            stack.callback(os.close, end)
        os.set_blocking(ends[1], False)
        with suppress(BlockingIOError):
            while os.write(ends[1], b"x" * 4096):
                pass
        os.set_blocking(ends[1], True)
        yield ends


def read_all(file: int) -> bytes:
    os.set_blocking(file, False)
    data = b""
    while True:
        try:
            data += os.read(file, 65536)
        except BlockingIOError:
            return data


async def status_of(url: str) -> int:
    """The status of `/health`, as soon as there is a server."""
    while True:
        try:
            return (await ask(url, "GET", "/health")).status
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.slow
async def test_a_mock_serves_though_nobody_reads_what_it_says(full_pipe: tuple[int, int], stream: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    options = (sys.executable, "-m", "mockserver", "--port", str(port), "--not-an-option")
    out, err = (full_pipe[1] if name == stream else asyncio.subprocess.DEVNULL for name in ("stdout", "stderr"))
    process = await asyncio.create_subprocess_exec(*options, stdout=out, stderr=err)
    try:
        async with asyncio.timeout(PATIENCE):
            assert await status_of(f"http://127.0.0.1:{port}") == 200
    finally:
        process.terminate()
        assert await process.wait() == 0


def test_what_nobody_reads_is_dropped_and_counted(full_pipe: tuple[int, int]) -> None:
    reader, pipe = full_pipe
    writer = OutputWriter(pipe, most_kept=100)
    for number in range(30):
        writer.write(b"line %03d\n" % number)
    said = b""
    while len(seen := numbers(said)) < 30:
        writer.flush(0.02)
        said += read_all(reader)
    assert b"lines were lost" in said
    assert seen == list(range(30))


def numbers(said: bytes) -> list[int]:
    """Of the lines that came whole, and of those that are said to be lost between them."""
    found: list[int] = []
    for line in said.lstrip(b"x").split(b"\n")[:-1]:
        if lost := re.fullmatch(rb"log: (\d+) lines were lost, nobody read them in time", line):
            found += range(len(found), len(found) + int(lost[1]))
        else:
            found.append(int(line.removeprefix(b"line ")))
    return found


def test_a_reader_that_has_left_is_no_error() -> None:
    reader, pipe = os.pipe()
    os.close(reader)
    writer = OutputWriter(pipe)
    writer.write(b"to nobody\n")
    writer.flush(AT_ONCE)
    os.close(pipe)
