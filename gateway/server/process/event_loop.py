"""The event loop that a process runs on."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it installs, on asyncio where it does not."""
    run_on: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
    with contextlib.suppress(ImportError):
        from uvloop import run as run_on
    run_on(main)
