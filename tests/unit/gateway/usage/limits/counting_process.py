"""A process that counts in a file of limits as it is told on standard input, a word a line; it answers each.

`take`: one request of the key. `hammer N`: one after the other, N times; it answers how many passed. `chatter`: for
ever, with an answer to each.
"""

import subprocess
import sys
from datetime import UTC
from pathlib import Path

from gateway.core.rate_limits import Measure
from gateway.usage.limits.store.limit_store import MachineClock, MetLimits, Taken
from gateway.usage.limits.store.shared_file import SharedFile
from tests.unit.gateway.usage.limits.set_clock import claim


class CountingProcess:
    """One of them, and what a test tells it."""

    def __init__(self, path: Path, measure: Measure, amount: int) -> None:
        command = (sys.executable, "-m", __name__, str(path), measure.value, str(amount))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, words: str) -> None:
        """Tell it to do something."""
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """What it says when it has done that."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, words: str) -> str:
        """Both."""
        self.tell(words)
        return self.answer()

    def rest(self) -> str:
        """All that it has said until its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


def _count(path: Path, measure: Measure, amount: int) -> None:
    store = SharedFile(path, UTC, MachineClock())
    claims = MetLimits([claim(measure, amount)], b"usual".ljust(16, b"\0"))

    def take() -> bool:
        return isinstance(store.take(claims), Taken)

    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        while word == "chatter":
            print(take(), flush=True)  # noqa: T201  it is the answer
        answer = sum(take() for _ in range(int(number))) if word == "hammer" else take()
        print(answer, flush=True)  # noqa: T201  it is the answer


if __name__ == "__main__":
    _count(Path(sys.argv[1]), Measure(sys.argv[2]), int(sys.argv[3]))
