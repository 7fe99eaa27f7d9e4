"""The sandbox's file is followed into its database, beside what people change there on the pages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from gateway.cli.sandbox.file_follower import FileFollower
from gateway.cli.sandbox.team import SandboxTeam, team_database
from gateway.config.server_settings import Server
from gateway.core.deployment import Status
from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from gateway.team.actor import machine_actor
from gateway.team.models.keys import NewKey
from gateway.team.operations.operation import Call, perform
from gateway.team.operations.table import OPERATIONS
from tests.harness.pages.team_pages import has_looked
from tests.harness.patience import PATIENCE


@dataclass
class Scene:
    """A file, what follows it, and the database that is served from."""

    path: Path
    follower: FileFollower
    team: SandboxTeam

    def write(self, **deployments: str) -> None:
        """Deployments by their status."""
        entries = {
            name: {"account": "acme", "upstream": "http://127.0.0.1:9", "status": status}
            for name, status in deployments.items()
        }
        keys = [{"name": "laptop", "key": "gw_a_key_of_the_file"}]
        self.save(yaml.safe_dump({"accounts": {"acme": {"keys": keys}}, "deployments": entries}))

    def save(self, text: str) -> None:
        """Replace the file, and have it looked at."""
        draft = self.path.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(self.path)
        self.follower.look_soon()

    async def on_a_page(self, name: str, *ids: str, asked: Any = None) -> None:
        """Somebody does it on a page, and the gateway has seen it."""
        await perform(self.team.database, machine_actor("ada"), Call(OPERATIONS[name], ids, asked))
        await has_looked(self.team.registry, self.team.database)

    async def until(self, holds: Callable[[dict[str, Status]], object]) -> None:
        """Wait until it holds of the status of each deployment that is served."""
        registry, changed = self.team.registry, asyncio.Event()
        registry.listeners.append(changed.set)
        async with asyncio.timeout(PATIENCE):
            while not holds({name: one.status for name, one in registry.snapshot.deployments.items()}):
                changed.clear()
                await changed.wait()
        registry.listeners.remove(changed.set)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    path = tmp_path / "gateway.yaml"
    await prepare(database_url(tmp_path / "gateway.db"), create=True)
    async with team_database(tmp_path / "gateway.db", Server()) as team:
        scene = Scene(path, FileFollower(path, team.database, team.registry), team)
        scene.write(one="ready", two="ready")
        await scene.follower.take_all()
        await team.registry.open()
        async with asynccontextmanager(scene.follower.following)(web.Application()):
            yield scene
        await team.registry.close()


async def test_an_edit_changes_what_it_is_about_and_nothing_else(scene: Scene) -> None:
    await scene.on_a_page("deployments.pause", "one")
    scene.write(one="ready", two="paused")
    await scene.until(lambda seen: seen == {"one": Status.PAUSED, "two": Status.PAUSED})
    scene.write(one="auto", two="paused")
    await scene.until(lambda seen: seen == {"one": Status.AUTO, "two": Status.PAUSED})


async def test_what_both_have_removed_keeps_no_later_edit_out(scene: Scene) -> None:
    await scene.on_a_page("deployments.remove", "one")
    scene.write(two="ready")
    scene.write(two="paused", three="ready")
    await scene.until(lambda seen: seen == {"two": Status.PAUSED, "three": Status.READY})


async def test_a_key_taken_out_of_the_file_ends(scene: Scene) -> None:
    scene.save("accounts: {acme: {}}")
    await scene.until(lambda _: all(key.revoked_at for key in scene.team.registry.snapshot.keys.values()))


async def test_an_edit_that_the_database_cannot_take_is_told_until_it_is_mended(scene: Scene) -> None:
    await scene.on_a_page("keys.create", asked=NewKey(account="acme", name="ci"))
    scene.save("accounts: {acme: {keys: [{name: ci, key: gw_another_key_of_that_name}]}}")
    await scene.until(lambda _: scene.team.registry.problem is not None)
    problem = scene.team.registry.problem
    assert problem is not None
    assert "has a valid key 'ci' already" in problem.lines[0]
    scene.write(one="paused")
    await scene.until(lambda seen: seen == {"one": Status.PAUSED} and scene.team.registry.problem is None)


async def test_a_file_that_is_not_valid_is_told_by_line_and_changes_nothing(scene: Scene) -> None:
    scene.save("accounts: [")
    await scene.until(lambda _: scene.team.registry.problem is not None)
    assert scene.team.registry.problem is not None
    assert scene.team.registry.problem.lines[0].startswith(f"{scene.path}:")
    assert set(scene.team.registry.snapshot.deployments) == {"one", "two"}
    await scene.on_a_page("deployments.pause", "one")
    assert scene.team.registry.snapshot.deployments["one"].status is Status.PAUSED
    assert scene.team.registry.problem is not None  # it is still not valid
