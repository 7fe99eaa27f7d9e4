"""What stops the gateway: signals and the end of a pipe; in a worker, only commands from its supervisor.

A signal to a whole process group would reach a worker twice, the second time from its supervisor, and two signals sent
close together can merge into one. So the supervisor writes one byte for each request, and its workers ignore signals.
"""

import asyncio
import logging
import os
import signal
import stat

from gateway.registry.base import Registry

log = logging.getLogger("gateway")

STOP, RELOAD = b"s", b"r"  # what a supervisor writes to its workers


class StopRequests:
    """Events for the first and the second request to stop. SIGHUP makes the registry look at its source now."""

    def __init__(self, registry: Registry) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._registry = registry

    def listen_to_signals(self) -> None:
        """Treat each SIGTERM and SIGINT as a request."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def listen_to_pipe(self, pipe: int) -> None:
        """Treat the end of a pipe as a request. Anything but a pipe (a file, /dev/null) is ignored."""
        if can_end(pipe):
            asyncio.get_running_loop().add_reader(pipe, self._read_pipe, pipe)

    def listen_to_supervisor(self, channel: int) -> None:
        """Obey the supervisor's commands. Its death, the end of the channel, is a request to stop."""
        asyncio.get_running_loop().add_reader(channel, self._read_commands, channel)

    def _read_pipe(self, pipe: int) -> None:
        if not received_from(pipe):
            self._pipe_ended(pipe)

    def _read_commands(self, channel: int) -> None:
        commands = received_from(channel)
        for _ in range(commands.count(STOP)):
            self._stop()
        if RELOAD in commands:
            self._reload()
        if not commands:
            self._pipe_ended(channel)

    def _pipe_ended(self, pipe: int) -> None:
        asyncio.get_running_loop().remove_reader(pipe)
        self._stop()

    def _stop(self) -> None:
        if self.first.is_set():
            self.second.set()
        self.first.set()

    def _reload(self) -> None:
        log.debug("SIGHUP: looking for a change of the configuration now")
        self._registry.look_soon()


def can_end(file: int) -> bool:
    """Whether it is a pipe or a socket, whose end means that the process at the other end is gone."""
    mode = os.fstat(file).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def received_from(pipe: int) -> bytes:
    """What has arrived through a pipe or a socket; nothing at its end, even if that is a reset."""
    try:
        return os.read(pipe, 4096)
    except ConnectionResetError:
        return b""
