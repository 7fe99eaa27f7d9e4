"""Several processes that serve one port together, and the one that watches over them.

Each has a listening socket of its own (SO_REUSEPORT), among which the kernel shares out what comes. Why so:
docs/decisions/0012-workers.md.
"""

import logging
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import NamedTuple

from gateway.listening import reserve
from gateway.settings import Server
from gateway.worker_group import ALONE, WorkerGroup

log = logging.getLogger("gateway.workers")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds before a dead worker is started again; doubled each time
_STEADY_SECONDS = 10.0  # a worker that served so long did not die of its start
_LATE_SECONDS = 10.0  # how long after its time to drain a worker that hangs is killed
_HURRY_SECONDS = 5.0  # the same after a second signal


class ServeArguments(NamedTuple):
    """What a process serves with: the arguments of `serve`, all but the registry."""

    server: Server
    announce: Callable[[str], None]
    stop_pipe: int | None
    group: WorkerGroup = ALONE


def fork_workers(server: Server, announce: Callable[[str], None], stop_pipe: int | None) -> ServeArguments:
    """Make `server.workers` processes out of this one. Returns in each of them; in this one only if one is enough.

    This one starts again whichever dies, passes signals on, and exits once all have ended: with 0 if all went well.
    `announce` gets the URL once all serve. The end of `stop_pipe` counts as a signal; a worker's ends with our death.
    Raises ListenError, before anything is started, if the port is taken.
    """
    if server.workers == 1:
        return ServeArguments(server, announce, stop_pipe)
    reserved = reserve(server.host, server.port)
    server = server.model_copy(update={"port": reserved[0].getsockname()[1]})
    supervisor = _Supervisor(server, announce, stop_pipe)
    while (number := supervisor.next_worker_to_start()) is not None:
        arguments = supervisor.start(number)
        if arguments is not None:
            for one in reserved:
                one.close()
            return arguments
    sys.exit(supervisor.status)


@dataclass
class _Worker:
    number: int
    pid: int
    channel: socket.socket
    started: float = field(default_factory=monotonic)
    serves: bool = False


class _Supervisor:
    """Runs no event loop and no thread: it forks."""

    def __init__(self, server: Server, announce: Callable[[str], None], stop_pipe: int | None) -> None:
        self.status = 0
        self._server = server
        self._announce = announce
        self._counter_files = [os.memfd_create(f"worker-{number}") for number in range(server.workers)]
        self._workers: dict[int, _Worker] = {}  # by process id
        self._due = {0: 0.0}  # number of a worker, when to start it; the first one alone finds out if all is well
        self._pauses = dict.fromkeys(range(server.workers), _SHORTEST_PAUSE)
        self._has_served = False  # all of them, at one time
        self._stop_signals = 0
        self._kill_at = float("inf")
        self._selector = selectors.DefaultSelector()
        self._wakeup, waker = socket.socketpair()
        self._waker = waker
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._take_signals)
        if stop_pipe is not None:
            self._selector.register(stop_pipe, selectors.EVENT_READ, partial(self._read_stop_pipe, stop_pipe))
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)

    def next_worker_to_start(self) -> int | None:
        """Watch until a worker has to be started, and return its number; None once all have ended for good."""
        while self._workers or self._due:
            number = min(self._due, key=self._due.__getitem__, default=None)
            if number is not None and self._due[number] <= monotonic():
                del self._due[number]
                return number
            until = min(self._kill_at, *self._due.values(), float("inf"))
            patience = None if until == float("inf") else max(until - monotonic(), 0)
            for key, _ in self._selector.select(patience):
                key.data()
            if self._kill_at <= monotonic():
                self._kill()
        return None

    def start(self, number: int) -> ServeArguments | None:
        """Fork. Returns what to serve with in the worker, None here."""
        ours, theirs = socket.socketpair()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._close_inherited()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            pipe = theirs.detach()
            group = WorkerGroup(number, self._server.workers, self._counter_files)
            return ServeArguments(self._server, lambda url: _say(pipe, url), pipe, group)
        self._workers[pid] = worker = _Worker(number, pid, ours)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        self._selector.register(ours, selectors.EVENT_READ, partial(self._hear, worker))
        return None

    def _close_inherited(self) -> None:
        """In a worker: forget what is the supervisor's."""
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)  # a terminal's Ctrl-C reaches the supervisor alone, which passes it on once
        self._selector.close()
        for one in (self._wakeup, self._waker, *(worker.channel for worker in self._workers.values())):
            one.close()

    def _hear(self, worker: _Worker) -> None:
        try:
            url = worker.channel.recv(4096)
        except ConnectionResetError:
            url = b""
        if not url:
            self._selector.unregister(worker.channel)
            worker.channel.close()
            return
        worker.serves = True
        if self._has_served:
            log.info("worker %d (process %d) serves again", worker.number, worker.pid)
        elif sum(one.serves for one in self._workers.values()) == self._server.workers:
            self._has_served = True
            self._announce(url.decode())
        elif worker.number == 0 and not self._stop_signals:
            self._due.update(dict.fromkeys(range(1, self._server.workers), 0.0))

    def _take_signals(self) -> None:
        for number in self._wakeup.recv(4096):
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP:
                self._pass_on(signal.SIGHUP)
            else:
                self._stop()

    def _read_stop_pipe(self, pipe: int) -> None:
        if not os.read(pipe, 4096):
            self._selector.unregister(pipe)
            self._stop()

    def _stop(self) -> None:
        self._due.clear()
        self._stop_signals += 1
        seconds = _HURRY_SECONDS if self._stop_signals > 1 else self._server.timeouts.drain + _LATE_SECONDS
        self._kill_at = monotonic() + seconds
        self._pass_on(signal.SIGTERM)

    def _kill(self) -> None:
        log.error("killed: %d workers did not stop when told to", len(self._workers))
        self._kill_at = float("inf")
        self._pass_on(signal.SIGKILL)

    def _pass_on(self, number: signal.Signals) -> None:
        for pid in self._workers:
            os.kill(pid, number)  # one that has ended is a zombie until it is reaped, and takes no offence

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._handle_exit(self._workers.pop(pid), os.waitstatus_to_exitcode(status))

    def _handle_exit(self, worker: _Worker, status: int) -> None:
        if self._stop_signals:
            if status not in {0, -signal.SIGTERM}:  # the latter: before it listened to signals
                self.status = 1
        elif not self._has_served:
            self.status = 1  # it has said why
            self._stop()
        else:
            steady = monotonic() - worker.started > _STEADY_SECONDS
            pause = _SHORTEST_PAUSE if steady else self._pauses[worker.number]
            self._pauses[worker.number] = min(pause * 2, _LONGEST_PAUSE)
            self._due[worker.number] = monotonic() + pause
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            log.error("worker %d (process %d) %s; starting it again", worker.number, worker.pid, how)


def _say(pipe: int, text: str) -> None:
    with suppress(BrokenPipeError):  # the supervisor is gone, which the other end of the pipe will tell
        os.write(pipe, text.encode())
