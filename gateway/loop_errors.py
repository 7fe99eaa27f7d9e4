"""What the event loop has nobody else to tell: what of it the operator is told, and how often."""

import asyncio
import errno
import logging
from typing import Any

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_SILENT_SECONDS = 60.0

log = logging.getLogger("gateway")


class LoopErrors:
    """An event loop's exception handler: what it does not know it leaves to the loop's own, which logs a traceback.

    That no client can be accepted for want of descriptors or memory, asyncio says a thousand times over and with a
    traceback; this says it once a minute. Nothing is said of two errors that are none:

    - A second after it could accept none, asyncio tries again as often, and trips over a listener closed meanwhile.
    - A connection fails after it was given up, as uvloop's TLS handshakes do: who gave it up has said why.
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
