"""The process of a command: how it ends, how many files it may open, and on which event loop it runs."""

import asyncio
import resource
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_TERMINATED = 128 + signal.SIGTERM


def end_in_order_at_sigterm() -> None:
    """Leave by an exception, as at a Ctrl-C, so that what was started is ended, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))


def open_as_many_files_as_may_be() -> None:
    """Raise the limit on open files to the highest that there is for this process."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run_on_uvloop(main: Coroutine[Any, Any, T]) -> T:
    """Run it on uvloop, or on asyncio's own loop where that is not installed: as a gateway does."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
