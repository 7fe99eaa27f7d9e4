"""The event loop's exception handler: what is logged, how often."""

import asyncio
import errno
import logging
from typing import Any

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_SILENT_SECONDS = 60.0

log = logging.getLogger("gateway")


class ExceptionHandler:
    """What it does not know it leaves to the loop's default handler, which logs a traceback.

    When descriptors or memory run out, asyncio logs a traceback for each of a thousand attempts to accept a client;
    this logs one line a minute. Two errors are harmless and not logged:

    - A second after it could accept none, asyncio tries again, though the listener may have been closed meanwhile.
    - A connection fails after it was given up, as uvloop's TLS handshakes do: its owner has reported why.
    """

    def __init__(self) -> None:
        self._silent_until = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, message = context.get("exception"), context["message"]
        if isinstance(error, ValueError) and "_start_serving" in message:
            return
        if isinstance(error, OSError) and message.startswith("Future exception was never"):
            return
        if not isinstance(error, OSError) or error.errno not in _EXHAUSTED:
            loop.default_exception_handler(context)
        elif loop.time() > self._silent_until:
            self._silent_until = loop.time() + _SILENT_SECONDS
            log.error("cannot accept new connections: %s", error.strerror)
