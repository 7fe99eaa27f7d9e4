"""Revoking a key at once breaks off what runs on it; revoking it otherwise lets it end."""

import json
from pathlib import Path

from aiohttp import ClientSession

from gateway.team.models.deployments import DeploymentChange
from gateway.team.models.keys import KeyRevocation, NewKey
from mockserver import MockLlamaServer
from tests.harness.pages.team_pages import team_serving
from tests.unit.gateway.activity.streams import in_line, key_for, streaming


async def test_an_answer_on_a_key_revoked_at_once_breaks_visibly(tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=20) as mock, team_serving(tmp_path, "acme") as team:
        key = await key_for(team, mock.url)
        other = await team.do("keys.create", asked=NewKey(account="acme", name="other"))
        await team.has_looked()
        async with streaming(team.url, key.key) as cut, streaming(team.url, other.key) as kept:
            await team.do("keys.revoke", key.id, asked=KeyRevocation(now=True))
            last = await cut.broken()
            assert json.loads(last.removeprefix("data: "))["error"]["message"] == "Invalid API key."
            await kept.more()


async def test_an_answer_on_a_key_revoked_in_peace_goes_on(tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=20) as mock, team_serving(tmp_path, "acme") as team:
        key = await key_for(team, mock.url)
        async with streaming(team.url, key.key) as answer:
            await team.do("keys.revoke", key.id)
            await team.has_looked()
            for _ in range(5):
                await answer.more()
            await team.do("keys.revoke", key.id, asked=KeyRevocation(now=True))
            assert "Invalid API key." in await answer.broken()


async def test_a_request_in_line_on_a_key_revoked_at_once_is_401(tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=20) as mock, team_serving(tmp_path, "acme") as team:
        key = await key_for(team, mock.url)
        other = await team.do("keys.create", asked=NewKey(account="acme", name="other"))
        narrow = DeploymentChange.model_validate({"limits": {"connections": 1}})
        await team.do("deployments.change", "demo", asked=narrow)
        await team.has_looked()
        async with streaming(team.url, other.key), ClientSession() as client:

            async def ask(client: ClientSession) -> int:
                target = f"{team.url}/api/gguf/demo/v1/chat/completions"
                body = {"messages": [{"role": "user", "content": "Hello"}]}
                async with client.post(target, json=body, headers={"Authorization": f"Bearer {key.key}"}) as answer:
                    return answer.status

            waiting = await in_line(team, ask(client))
            await team.do("keys.revoke", key.id, asked=KeyRevocation(now=True))
            assert await waiting == 401
