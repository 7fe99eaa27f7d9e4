"""A PostgreSQL server of the tests' own: a cluster in a folder that is gone with it, reached by a Unix socket only."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

_DEBIAN = Path("/usr/lib/postgresql")  # where its servers are, by version, and not on the PATH
_USER = "postgres"
_numbers = count(1)


def why_not() -> str:
    """Why there can be none here; empty if there can."""
    if find_spec("asyncpg") is None:
        return "asyncpg is not installed: no PostgreSQL is tried"
    if _programs() is None:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    if os.getuid() == 0 and not _has_user():
        return f"PostgreSQL runs as no root, and there is no user {_USER}"
    return ""


class Postgresql:
    """Made by `postgresql`. Each `database` is a new one."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def database(self, template: str = "template1") -> str:
        """The SQLAlchemy URL of a new database: an empty one, or a copy of the one at `template`, a URL."""
        name = f"gateway_{next(_numbers)}"
        self._run("createdb", "-T", _name_in(template), name)
        return f"postgresql+asyncpg://{_USER}@/{name}?host={self._folder}"

    def query(self, url: str, query: str) -> list[tuple[str, ...]]:
        """What psql says, as text."""
        said = self._run("psql", "-AtqX", "-v", "ON_ERROR_STOP=1", "-F", "\t", "-c", query, _name_in(url))
        return [tuple(line.split("\t")) for line in said.splitlines()]

    def shut(self, url: str) -> None:
        """Let nobody into a database, and end the connections that there are."""
        name = _name_in(url)
        self._on_all(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self._on_all(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def open(self, url: str) -> None:
        """Let people into it again."""
        self._on_all(f"ALTER DATABASE {_name_in(url)} ALLOW_CONNECTIONS true")

    def _on_all(self, query: str) -> None:
        self._run("psql", "-AtqX", "-v", "ON_ERROR_STOP=1", "-c", query, "postgres")

    def start(self) -> None:
        """Serve, and return when it does."""
        command = (str(self._programs / "pg_ctl"), "-D", str(self._folder / "data"), "-w", "-s", "start")
        # What nobody is to survive need not be on the disk.
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off -c full_page_writes=off"
        self._call(*command, "-o", options, "-l", str(self._folder / "log"))

    def stop(self, how: str = "immediate") -> None:
        """End it: `immediate` breaks off whatever runs; what was committed is there when it starts again."""
        self._call(str(self._programs / "pg_ctl"), "-D", str(self._folder / "data"), "-w", "-s", "-m", how, "stop")

    def make(self) -> None:
        """Make the cluster."""
        command = (str(self._programs / "initdb"), "-D", str(self._folder / "data"), "-U", _USER)
        self._call(*command, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")

    def _run(self, program: str, *arguments: str) -> str:
        return self._call(str(self._programs / program), "-h", str(self._folder), "-U", _USER, *arguments)

    def _call(self, *command: str) -> str:
        prefix = ("runuser", "-u", _USER, "--") if os.getuid() == 0 else ()
        done = subprocess.run((*prefix, *command), capture_output=True, text=True, check=False, cwd=self._folder)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def postgresql() -> Iterator[Postgresql]:
    """A server that runs, until the end of the block. Only where `why_not` says nothing."""
    programs = _programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if os.getuid() == 0:
        user = pwd.getpwnam(_USER)
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = Postgresql(programs, folder)
    try:
        server.make()
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder)


def _name_in(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0] or url


def _programs() -> Path | None:
    """The folder of the newest that is installed."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    if found:
        return found[-1].parent
    anywhere = shutil.which("initdb")
    return Path(anywhere).parent if anywhere else None


def _has_user() -> bool:
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        return False
    return True
