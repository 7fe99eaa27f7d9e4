"""A file that is written in pieces, each of them a valid configuration: nothing vanishes in between."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.registry import yaml_file
from gateway.registry.yaml_file import YamlRegistry
from tests.harness.patience import PATIENCE
from tests.harness.storage.config_files import GOOD, written

PAUSE = 0.5  # seconds
LONGEST_PAUSE = 0.58  # of a machine that is busy; beyond it the file counts as whole
LAST = '  last: {account: acme, upstream: "http://127.0.0.1:9932"}\n'


def _one_write_after_another(path: Path, number: int, piece: str) -> None:
    with path.open("a" if number else "w") as file:
        file.write(piece)


def _a_new_file_that_grows(path: Path, number: int, piece: str) -> None:
    if number == 0:
        path.unlink()
    _one_write_after_another(path, number, piece)


@pytest.mark.slow
@pytest.mark.parametrize("write", [_one_write_after_another, _a_new_file_that_grows])
async def test_a_pause_between_two_valid_pieces_makes_no_deployment_vanish(
    write: Callable[[Path, int, str], None], tmp_path: Path
) -> None:
    path = written(tmp_path)
    path.write_text(GOOD + LAST)
    pieces = (GOOD, LAST, LAST.replace("last", "more"), LAST.replace("last", "still_more"))
    in_time = False
    while not in_time:
        seen: list[set[str]] = []
        in_time = await _follow(path, write, pieces, seen)
        path.write_text(GOOD + LAST)
    assert seen == [{"demo", "last", "more", "still_more"}]


async def _follow(
    path: Path, write: Callable[[Path, int, str], None], pieces: tuple[str, ...], seen: list[set[str]]
) -> bool:
    """Note what is in force after each change. Whether no pause was longer than meant."""
    registry = YamlRegistry(path, {}, interval=0.02)
    await registry.open()
    registry.listeners.append(lambda: seen.append(set(registry.snapshot.deployments)))
    in_time = await _write_in_pieces(path, write, pieces)
    async with asyncio.timeout(PATIENCE):
        while "still_more" not in registry.snapshot.deployments:
            await asyncio.sleep(0.01)
    await registry.close()
    return in_time


async def _write_in_pieces(path: Path, write: Callable[[Path, int, str], None], pieces: tuple[str, ...]) -> bool:
    """Whether no pause was longer than meant."""
    before = time.monotonic()
    in_time = True
    for number, piece in enumerate(pieces):
        write(path, number, piece)
        now = time.monotonic()
        in_time = in_time and now - before < LONGEST_PAUSE
        before = now
        await asyncio.sleep(PAUSE if number < len(pieces) - 1 else 0)
    return in_time


async def test_a_registry_is_closed_though_a_file_is_to_settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_file, "_SETTLE", 3600.0)
    path = written(tmp_path)
    registry = YamlRegistry(path, {}, interval=0.01)
    await registry.open()
    path.write_text(GOOD + LAST)
    await asyncio.sleep(0.1)  # it has looked
    async with asyncio.timeout(PATIENCE):
        await registry.close()
    assert set(registry.snapshot.deployments) == {"demo"}


async def test_who_asks_for_a_look_has_finished_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_file, "_SETTLE", 3600.0)
    path = written(tmp_path)
    registry = YamlRegistry(path, {}, interval=0.01)
    await registry.open()
    changed = asyncio.Event()
    registry.listeners.append(changed.set)
    path.write_text(GOOD + LAST)
    registry.look_soon()
    async with asyncio.timeout(PATIENCE):
        await changed.wait()
    assert set(registry.snapshot.deployments) == {"demo", "last"}
    await registry.close()
