"""Which file the limits of a registry are counted in: all gateways of one source on one machine share it."""

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from gateway.registry.base import Registry

_SUFFIX = "-limits"


def file_of(registry: Registry, environ: Mapping[str, str] = os.environ) -> Path:
    """Beside an SQLite database; for all else a file in the state folder, named by a digest of the source's name."""
    if isinstance(registry.place, Path):
        return registry.place.with_name(registry.place.name + _SUFFIX)
    return state_folder(environ) / (sha256(registry.source.encode()).hexdigest()[:32] + _SUFFIX)


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where a service keeps what outlives it: systemd's `StateDirectory=`, else that of the user (XDG Base Dirs)."""
    of_service = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if of_service:
        return Path(of_service)
    of_user = environ.get("XDG_STATE_HOME", "")
    folder = Path(of_user) if of_user.startswith("/") else Path("~/.local/state").expanduser()
    return folder / "gguf-gateway"
