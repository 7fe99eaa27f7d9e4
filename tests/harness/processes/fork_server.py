"""`gguf-gateway` as a process for each command, forked from one that has imported all it needs: that takes its time."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_SERVER = """
import json, os, sys
import alembic.command, sqlalchemy.dialects.sqlite.aiosqlite
from gateway.__main__ import main
from gateway.cli.registry import accounts, deployments, import_command, keys
from gateway.registry.database import database_registry, writer

while order := sys.stdin.buffer.readline():
    arguments, environ, files = json.loads(order)
    if (child := os.fork()) == 0:
        for descriptor, name in enumerate(files):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), descriptor)
        os.environ.clear()
        os.environ.update(environ)
        sys.argv = ["gguf-gateway", *arguments]
        sys.exit(main())
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class ForkServer:
    """Runs one command after the other, each with files of its own for its three streams, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._process = subprocess.Popen(
            (sys.executable, "-c", _SERVER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(
        self, arguments: tuple[str, ...], *, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._number += 1
        files = [self._folder / f"{self._number}.{stream}" for stream in ("stdin", "stdout", "stderr")]
        files[0].write_text(stdin)
        order = json.dumps([arguments, {**os.environ, **(environ or {})}, [str(file) for file in files]])
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, files[1].read_text(), files[2].read_text())

    def close(self) -> None:
        """End it."""
        self._process.communicate()
