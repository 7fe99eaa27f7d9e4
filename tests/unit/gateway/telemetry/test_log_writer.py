"""The thread that writes the log: nobody waits for it, nothing is lost in silence, and every line stays whole."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.telemetry.log_writer import LogWriter
from tests.harness.patience import PATIENCE, wait_until

PIPE_BYTES = 4096
KEPT_BYTES = 20_000


class Pipe:
    """The smallest pipe there is."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def read_until(self, end: bytes) -> bytes:
        """What comes out of it up to and with `end`."""
        text = b""
        while not text.endswith(end):
            text += os.read(self.reader, 65536)
        return text

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def gap(lines: int, seconds: float) -> bytes:
    assert seconds >= 0
    return b"%d lost\n" % lines


def lines(first: int, number: int) -> list[bytes]:
    return [b"%07d %s\n" % (index, b"x" * 91) for index in range(first, first + number)]


def test_all_is_written_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "log"
    said = lines(0, 5000)
    with path.open("wb") as file:
        writer = LogWriter(file.fileno(), gap)
        for line in said:
            writer.write(line)
        writer.flush()
    assert path.read_bytes() == b"".join(said)


def test_nobody_waits_for_a_reader_and_what_is_lost_is_counted(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, gap, KEPT_BYTES)
    said = lines(0, 1000)
    for line in said:
        writer.write(line)
    text: list[bytes] = []
    told = kept = 0
    while told < len(said):
        text += pipe.read_until(b"\n").splitlines(keepends=True)
        lost = sum(int(line.split()[0]) for line in text if line.endswith(b"lost\n"))
        kept = sum(not line.endswith(b"lost\n") for line in text)
        told = kept + lost
    assert in_place_of_what_is_lost(text, said)
    assert KEPT_BYTES - 100 <= kept * 100 < len(said) * 100
    writer.flush(PATIENCE, PATIENCE)  # what has just been read may still count as being written
    later = lines(1000, 20)
    for line in later:
        writer.write(line)
    assert pipe.read_until(later[-1]) == b"".join(later), "it is said once"


def in_place_of_what_is_lost(text: list[bytes], said: list[bytes]) -> bool:
    at = 0
    for line in text:
        if line.endswith(b"lost\n"):
            at += int(line.split()[0])
        else:
            assert line == said[at]
            at += 1
    return at == len(said)


def test_the_end_waits_for_a_slow_reader(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, gap)
    said = lines(0, 200)
    for line in said:
        writer.write(line)
    read: list[bytes] = []
    reading = threading.Thread(target=lambda: read.append(pipe.read_until(said[-1])))
    reading.start()
    writer.flush()
    reading.join()
    assert read == [b"".join(said)]


def test_a_disk_that_was_full_gets_all_that_was_kept(tmp_path: Path) -> None:
    """A limit on a file's size stands in for a full disk: it can be lifted."""
    path = tmp_path / "log"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    said = lines(0, 100)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with path.open("wb") as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (250, before[1]))
        try:
            writer = LogWriter(file.fileno(), gap)
            for line in said:
                writer.write(line)
            wait_until(lambda: path.stat().st_size == 250)
            writer.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, old)
        wait_until(lambda: path.stat().st_size == len(b"".join(said)))
    assert path.read_bytes() == b"".join(said)


def test_a_pipe_that_others_made_non_blocking_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    writer = LogWriter(pipe.writer, gap)
    said = lines(0, 500)
    for line in said:
        writer.write(line)
    assert pipe.read_until(said[-1]) == b"".join(said)


FORKING = """
import os, sys
from gateway.telemetry.log_writer import LogWriter

writer = LogWriter(1, lambda lines, seconds: b"lost\\n")
writer.write(b"before\\n")
name = b"parent"
for child in (b"first", b"second", b"third"):
    if os.fork() == 0:
        name = child
        break
for number in range(2000):
    writer.write(b"%s %d %s\\n" % (name, number, b"x" * (number % 500)))
writer.flush(60, 60)
if name == b"parent":
    for _ in range(3):
        assert os.wait()[1] == 0
"""


def test_lines_of_several_processes_stay_whole_in_one_pipe() -> None:
    with subprocess.Popen((sys.executable, "-c", FORKING), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        text = process.stdout.read().splitlines()
        assert process.wait(PATIENCE) == 0
    assert text[0] == b"before"
    for name in (b"parent", b"first", b"second", b"third"):
        of_one = [line.split(b" ") for line in text if line.startswith(name)]
        assert [(int(number), len(rest)) for _, number, rest in of_one] == [(n, n % 500) for n in range(2000)]
    assert len(text) == 1 + 4 * 2000
