"""Several processes that serve one port together, and the one that supervises them.

Each has a listening socket of its own (SO_REUSEPORT), among which the kernel shares out what comes. Why so:
docs/develop/decisions/0012-workers.md.
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

from gateway.config.document import counted
from gateway.config.server_settings import Server
from gateway.core.worker_group import WorkerGroup
from gateway.server.process.heartbeat import LOOK_SECONDS, Heartbeat, beat
from gateway.server.process.listen_address import Reached, reserve
from gateway.server.process.restart_backoff import NEVER, RestartBackoff
from gateway.server.process.run import ServeArguments
from gateway.server.process.signals import RELOAD, STOP, can_end, received_from
from gateway.server.process.worker_arbiter import WorkerArbiter

log = logging.getLogger("gateway.workers")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_LATE_SECONDS = 10.0  # how long after its time to drain a worker that hangs is killed
_HURRY_SECONDS = 5.0  # the same after a second request to stop


def fork_workers(server: Server, announce: Callable[[Reached], None], stop_pipe: int | None) -> ServeArguments:
    """Make `server.workers` processes of this one, two at least. Returns in each of them, and not in this one.

    This one starts again whichever dies, tells all of them to stop, and exits once they have ended: with 0 if all went
    well. `announce` gets the URLs once all serve. The end of `stop_pipe` counts as a signal to stop.
    Raises ListenError, before anything is started, if the port is taken.
    """
    server, reached, reserved = reserve(server)
    supervisor = _Supervisor(server, partial(announce, reached), stop_pipe)
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
    heartbeat: Heartbeat = field(default_factory=Heartbeat)  # once it serves


class _Supervisor:
    """Runs no event loop and no thread, because it forks."""

    def __init__(self, server: Server, announce: Callable[[], None], stop_pipe: int | None) -> None:
        self.status = 0
        self._server = server
        self._announce = announce
        self._counter_files = [os.memfd_create(f"worker-{number}") for number in range(server.workers)]
        self._boards = [os.memfd_create(f"board-{number}") for number in range(server.workers)]
        self._workers: dict[int, _Worker] = {}  # by process id
        self._schedule = RestartBackoff()
        self._schedule.add(0)  # alone at first, so that an error in all of them is reported once
        self._has_served = False  # all of them, at one time
        self._stop_requests = 0
        self._kill_at = NEVER
        self._look_at = monotonic() + LOOK_SECONDS
        self._selector = selectors.DefaultSelector()
        self._arbiter = WorkerArbiter(server.workers, self._selector)
        self._wakeup, self._waker = socket.socketpair()
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._take_signals)
        if stop_pipe is not None and can_end(stop_pipe):
            self._selector.register(stop_pipe, selectors.EVENT_READ, partial(self._read_stop_pipe, stop_pipe))
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)

    def next_worker_to_start(self) -> int | None:
        """Watch until a worker has to be started, and return its number; None once all have ended for good."""
        while self._workers or self._schedule:
            number = self._schedule.take_due()
            if number is not None:
                return number
            until = min(self._kill_at, self._look_at, self._schedule.next_due())
            for key, _ in self._selector.select(max(until - monotonic(), 0)):
                key.data()
            if self._look_at <= monotonic():
                self._kill_hanging()
            if self._kill_at <= monotonic():
                self._kill()
        return None

    def start(self, number: int) -> ServeArguments | None:
        """Fork. Returns what to serve with in the worker, None here."""
        ours, theirs = socket.socketpair()
        to_arbiter = self._arbiter.open()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._close_inherited()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            channel = theirs.detach()
            size, files, boards = self._server.workers, self._counter_files, self._boards
            group = WorkerGroup(number, size, files, channel, boards, arbiter=to_arbiter.detach())
            os.set_blocking(channel, False)
            return ServeArguments(self._server, lambda _: beat(channel), None, group)
        self._workers[pid] = worker = _Worker(number, pid, ours)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        to_arbiter.close()
        ours.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, partial(self._hear, worker))
        return None

    def _close_inherited(self) -> None:
        """In a worker: close the supervisor's files, and ignore the signals it handles."""
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        self._selector.close()
        self._arbiter.close_inherited()
        for one in (self._wakeup, self._waker, *(worker.channel for worker in self._workers.values())):
            one.close()

    def _hear(self, worker: _Worker) -> None:
        if not received_from(worker.channel.fileno()):
            self._selector.unregister(worker.channel)
            worker.channel.close()
            return
        worker.heartbeat.heard()
        if worker.serves:
            return
        worker.serves = True
        if self._has_served:
            log.info("worker %d (process %d) serves again", worker.number, worker.pid)
        elif sum(one.serves for one in self._workers.values()) == self._server.workers:
            self._has_served = True
            self._announce()
        elif worker.number == 0 and not self._stop_requests:
            for number in range(1, self._server.workers):
                self._schedule.add(number)

    def _take_signals(self) -> None:
        for number in self._wakeup.recv(4096):
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP:
                self._command(RELOAD)
            else:
                self._stop()

    def _read_stop_pipe(self, pipe: int) -> None:
        if not received_from(pipe):
            self._selector.unregister(pipe)
            self._stop()

    def _stop(self) -> None:
        self._schedule.clear()
        self._stop_requests += 1
        timeouts = self._server.timeouts
        in_time = timeouts.before_drain + timeouts.drain + _LATE_SECONDS
        seconds = _HURRY_SECONDS if self._stop_requests > 1 else in_time
        self._kill_at = monotonic() + seconds
        self._command(STOP)

    def _command(self, command: bytes) -> None:
        for worker in self._workers.values():
            with suppress(OSError):  # it has ended, or hangs and will be killed
                worker.channel.send(command)

    def _kill_hanging(self) -> None:
        """Else whoever is connected to it, and what it holds of limits and places, would wait for ever."""
        self._look_at = monotonic() + LOOK_SECONDS
        for worker in self._workers.values():
            if worker.serves and worker.heartbeat.is_missed():
                log.error("worker %d (process %d) hangs; killing it", worker.number, worker.pid)
                os.kill(worker.pid, signal.SIGKILL)

    def _kill(self) -> None:
        log.error("killed: %s did not stop when told to", counted(len(self._workers), "worker"))
        self._kill_at = NEVER
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)  # an ended one stays a zombie until reaped, so kill() cannot fail

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)  # others: its children from before exec, orphans if it is process 1
            if worker is not None:
                self._handle_exit(worker, os.waitstatus_to_exitcode(status))

    def _handle_exit(self, worker: _Worker, status: int) -> None:
        if self._stop_requests:
            if status != 0:
                self.status = 1
        elif not self._has_served:
            self.status = 1  # it has logged why
            self._stop()
        else:
            self._schedule.add_again(worker.number, monotonic() - worker.started)
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            log.error("worker %d (process %d) %s; starting it again", worker.number, worker.pid, how)
