"""The lock is what `make` installs; the ranges in setup.cfg are what everybody else does. They agree."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.lock import EXTRAS, LOCKS, build_system, ranges

# A pin, what it is for, and its hashes: the whole of an entry, comments taken away.
_ENTRY = re.compile(r"(\S+)==(\S+)( ; [^\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
_RUN, _DEVELOPMENT, _UV = (LOCKS / name for name in ("run.txt", "development.txt", "uv.txt"))
_WANTED = [
    *((_RUN, line) for line in [*build_system(), *ranges()]),
    *((_DEVELOPMENT, line) for line in [*build_system(), *ranges(), *ranges(*EXTRAS)]),
    *((_UV, line) for line in ranges("lock")),
]

every_lock = pytest.mark.parametrize("lock", [_RUN, _DEVELOPMENT, _UV], ids=lambda lock: lock.stem)


def _entries(lock: Path) -> list[str]:
    """The entries of a lock, each as it stands there. Comments are left out."""
    text = "".join(
        line for line in lock.read_text(encoding="utf-8").splitlines(keepends=True) if line.strip()[:1] != "#"
    )
    return re.split(r"(?<=\n)(?=\S)", text)


def _pins(lock: Path) -> dict[str, list[str]]:
    """The versions of each package; more than one where markers choose between them."""
    pins = dict[str, list[str]]()
    for entry in _entries(lock):
        name, version = entry.split(maxsplit=1)[0].split("==")
        pins.setdefault(name, []).append(version)
    return pins


@every_lock
def test_every_entry_of_a_lock_is_one_version_with_its_hashes(lock: Path) -> None:
    entries = _entries(lock)
    assert entries
    assert not [entry for entry in entries if not _ENTRY.fullmatch(entry)]


@every_lock
def test_a_lock_names_no_index_and_no_path_of_a_machine(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.findall(r"^.*(?:://|/home/|/tmp/|/root/|\.venv).*$", text, re.MULTILINE)


@pytest.mark.parametrize(("lock", "line"), _WANTED, ids=[f"{lock.stem}-{line}" for lock, line in _WANTED])
def test_each_requirement_is_locked_within_its_range(lock: Path, line: str) -> None:
    wanted = Requirement(line)
    versions = _pins(lock).get(canonicalize_name(wanted.name), [])
    assert versions, "run `make lock`"
    assert all(version in wanted.specifier for version in versions), f"{versions}: run `make lock`"


def test_what_runs_is_what_is_tested() -> None:
    assert set(_entries(_RUN)) < set(_entries(_DEVELOPMENT))


def test_an_extra_that_a_requirement_asks_for_is_locked_with_it() -> None:
    assert "greenlet" in _pins(_RUN), "SQLAlchemy[asyncio] needs it"
