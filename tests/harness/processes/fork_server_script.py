"""The process that forks `gguf-gateway` for each order: run by its path, its socket's number as the one argument.

An order is one message: JSON of `arguments`, `environ` and `folder`, and four descriptors, the three standard
streams and where to say the process id first and the exit status in the end, each as a line. A file that `RUN_FIRST`
in `environ` names is run in the new process before the command is.
"""

import json
import os
import signal
import socket
import sys
from importlib import import_module
from runpy import run_path

from gateway.__main__ import main

# Not uvloop: whether it can be had is the environment's to say.
_USED = (
    "alembic.command",
    "gateway.cli.registry.accounts",
    "gateway.cli.registry.deployments",
    "gateway.cli.registry.import_command",
    "gateway.cli.registry.keys",
    "gateway.cli.team.people",
    "gateway.cli.team.tokens",
    "gateway.cli.serve",
    "gateway.cli.serving",
    "gateway.registry.database.database_registry",
    "gateway.registry.start_configuration",
    "gateway.cli.client.local_client",
    "sqlalchemy.dialects.sqlite.aiosqlite",
)
_LONGEST_ORDER = 1 << 16


def take_orders(orders: socket.socket) -> None:
    """Fork for each order; until nobody can give one any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a keeper
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, _LONGEST_ORDER, 4)
        if not order:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            orders.close()
            _keep(order, descriptors[:3], descriptors[3])
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(order: bytes, streams: list[int], told: int) -> None:
    """Be the parent of the command: who is it, and how did it end?"""
    if (child := os.fork()) == 0:
        os.close(told)
        _become(streams, **json.loads(order))
    for stream in (*streams, 0, 1, 2):
        os.close(stream)
    os.write(told, b"%d\n" % child)
    os.write(told, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os._exit(0)


def _become(streams: list[int], arguments: list[str], environ: dict[str, str], folder: str) -> None:
    """Be the command."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.path[:0] = filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["gguf-gateway", *arguments]
    if "RUN_FIRST" in environ:
        run_path(environ["RUN_FIRST"])
    main()
    sys.exit()


if __name__ == "__main__":
    for module in _USED:
        import_module(module)
    take_orders(socket.socket(fileno=int(sys.argv[1])))
