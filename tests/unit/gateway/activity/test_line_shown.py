"""Who waits in line is shown with the position, and admins let somebody be the next."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.core.account import Priority
from gateway.proxy.upstream.connection_pools import POOLS
from gateway.team.models.activity import Activity
from gateway.team.models.deployments import DeploymentChange
from gateway.team.models.keys import NewKey
from gateway.team.operation_error import Conflict
from mockserver import MockLlamaServer
from tests.harness.pages.plain_browser import browsing
from tests.harness.pages.team_pages import Team, team_serving
from tests.harness.patience import PATIENCE
from tests.unit.gateway.activity.streams import key_for, streaming


async def ask(team: Team, client: ClientSession, key: str) -> int:
    target, headers = f"{team.url}/api/gguf/demo/v1/chat/completions", {"Authorization": f"Bearer {key}"}
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
    async with client.post(target, json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def in_line(team: Team, number: int) -> list[Activity]:
    """Those that wait, in their order, once there are so many."""
    line = team.app[POOLS].known()["demo"].line
    async with asyncio.timeout(PATIENCE):
        while True:
            found: list[Activity] = (await team.do("activity.list")).items
            waiting = sorted((one for one in found if one.position), key=lambda one: one.position or 0)
            if len(waiting) == number == line.waiting:
                return waiting
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_line_is_listed_and_shown_and_changed(tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=20) as mock, team_serving(tmp_path, "acme") as team:
        first = await key_for(team, mock.url)
        narrow = DeploymentChange.model_validate({"limits": {"connections": 1}})
        await team.do("deployments.change", "demo", asked=narrow)
        jobs = await team.do("keys.create", asked=NewKey(account="acme", name="jobs", priority=Priority.BATCH))
        person = await team.do("keys.create", asked=NewKey(account="acme", name="person"))
        await team.has_looked()
        async with streaming(team.url, first.key), ClientSession() as client:
            asked = [asyncio.ensure_future(ask(team, client, jobs.key))]
            [alone] = await in_line(team, 1)
            asked.append(asyncio.ensure_future(ask(team, client, person.key)))
            waiting = await in_line(team, 2)
            assert [(one.key, one.priority) for one in waiting] == [(person.id, "interactive"), (jobs.id, "batch")]
            async with browsing(team, await team.person("ada")) as ada:
                text = (await ada.get("/activity")).text
                assert "<b>2</b> in line" in text
                assert "To the front" in text
                text = (await ada.get("/deployments/demo")).text
                assert "Next in line" in text
                form = text.partition(f'action="/activity/{alone.id}/move"')[2].partition("</form>")[0]
                assert '<input type="hidden" name="back" value="/deployments/demo">' in form
                moved = await ada.post(f"/activity/{alone.id}/move", back="/deployments/demo")
                assert moved.location == "/deployments/demo"
            async with asyncio.timeout(PATIENCE):
                while [one.key for one in await in_line(team, 2)] != [jobs.id, person.id]:
                    await asyncio.sleep(0.05)
            [running] = [one for one in (await team.do("activity.list")).items if one.position is None]
            with pytest.raises(Conflict):
                await team.do("activity.move", running.id)
            await team.do("activity.end", waiting[0].id)
            [left] = await in_line(team, 1)
            assert left.key == jobs.id
            await team.do("activity.end", running.id)
            assert sorted(await asyncio.gather(*asked)) == [200, 403]
