"""A network of its own, joined to this one by one cable, which can be pulled. Linux, and the right to do it, needed."""

import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

_Made = TypeVar("_Made")
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_NUMBERS = itertools.count()


class Island:
    """A network namespace. `here` and `there` are the two ends of the cable: addresses for tests (RFC 2544)."""

    def __init__(self) -> None:
        """Raises OSError or CalledProcessError where it cannot be made."""
        number = next(_NUMBERS)
        self._name = f"gguf-{os.getpid()}-{number}"
        self._cable = f"gg{os.getpid() % 1000000}n{number}"
        network = f"198.18.{os.getpid() % 256}.{number * 4 % 256}"
        prefix, last = network.rsplit(".", 1)
        self.here, self.there = (f"{prefix}.{int(last) + end}" for end in (1, 2))
        _ip("netns", "add", self._name)
        try:
            _ip("link", "add", self._cable, "type", "veth", "peer", "name", "cable", "netns", self._name)
            _ip("addr", "add", f"{self.here}/30", "dev", self._cable)
            _ip("link", "set", self._cable, "up")
            _ip("-n", self._name, "addr", "add", f"{self.there}/30", "dev", "cable")
            _ip("-n", self._name, "link", "set", "cable", "up")
        except BaseException:
            self.close()
            raise

    def call(self, make: Callable[[], _Made]) -> _Made:
        """What `make` returns when called there: its sockets stay there, wherever they are used."""
        with ThreadPoolExecutor(1) as there:  # a namespace is its thread's, and the thread ends here
            return there.submit(self._enter_and, make).result()

    def _enter_and(self, make: Callable[[], _Made]) -> _Made:
        with Path("/run/netns", self._name).open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return make()

    def pull_the_cable(self) -> None:
        """From now on nothing passes, and nobody is told so."""
        _ip("-n", self._name, "link", "set", "cable", "down")

    def close(self) -> None:
        """Give the network back."""
        _ip("netns", "del", self._name)


def _ip(*arguments: str) -> None:
    program = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise FileNotFoundError("ip (iproute2) is not installed")
    subprocess.run((program, *arguments), check=True, capture_output=True)
