"""Which file the limits of a registry are counted in: all gateways of one source on one machine share it."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import tzinfo
from hashlib import sha256
from pathlib import Path

from gateway.registry.base import Registry
from gateway.usage.limits.arithmetic.counting import LimitStanding
from gateway.usage.limits.store.limit_store import CountedLimit, MachineClock
from gateway.usage.limits.store.memory_store import MemoryStore
from gateway.usage.limits.store.shared_file import SharedFile

_SUFFIX = "-limits"


def file_of(registry: Registry, environ: Mapping[str, str] = os.environ) -> Path:
    """Beside an SQLite database; for all else a file in the state folder, named by a digest of the source's name."""
    if isinstance(registry.place, Path):
        return registry.place.with_name(registry.place.name + _SUFFIX)
    return state_folder(environ) / (sha256(registry.source.encode()).hexdigest()[:32] + _SUFFIX)


def place_for(registry: Registry) -> Path:
    """That file, once its folder is there: one for state is made. That of a database may be back later, and is not."""
    path = file_of(registry)
    if not isinstance(registry.place, Path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def look_into(path: Path, zone: tzinfo, limits: Sequence[CountedLimit]) -> list[LimitStanding]:
    """How limits stand in a file that others count in. Raises OSError where it cannot be looked at."""
    clock = MachineClock()
    if not path.exists():
        return MemoryStore(zone, clock).look(limits)
    with closing(SharedFile(path, zone, clock, only_looks=True)) as file:
        return file.look(limits)


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where a service keeps what outlives it: systemd's `StateDirectory=`, else that of the user (XDG Base Dirs)."""
    of_service = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if of_service:
        return Path(of_service)
    of_user = environ.get("XDG_STATE_HOME", "")
    folder = Path(of_user) if of_user.startswith("/") else Path("~/.local/state").expanduser()
    return folder / "gguf-gateway"
