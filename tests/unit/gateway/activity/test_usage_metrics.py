"""What `/metrics` says of who used how much, once a request has ended."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from mockserver import MockLlamaServer
from tests.harness.pages.team_pages import Team, team_serving
from tests.harness.patience import PATIENCE
from tests.unit.gateway.activity.streams import key_for


async def usage_of(team: Team, client: ClientSession) -> dict[tuple[str, ...], float]:
    """The series of usage once the ledger has handed something over."""
    async with asyncio.timeout(PATIENCE):
        while True:
            text = await (await client.get(f"{team.url}/metrics")).text()
            found = {
                (one.name, *(value for _, value in sorted(one.labels.items()))): float(one.value)
                for family in text_string_to_metric_families(text)
                for one in family.samples
                if one.name.startswith("gguf_usage_")
            }
            if found:
                return found
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("most", [0, 5])
async def test_usage_is_by_account_and_deployment_and_by_key_if_asked_for(tmp_path: Path, most: int) -> None:
    async with (
        MockLlamaServer() as mock,
        team_serving(tmp_path, "acme", usage={"metrics_by_key": most}) as team,
        ClientSession() as client,
    ):
        key = await key_for(team, mock.url)
        body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 7}
        headers = {"Authorization": f"Bearer {key.key}"}
        url = f"{team.url}/api/gguf/demo/v1/chat/completions"
        said = (await (await client.post(url, json=body, headers=headers)).json())["usage"]
        found = await usage_of(team, client)
        who = ("acme", "demo") if not most else ("acme", "demo", key.id)
        assert found["gguf_usage_requests_total", *who] == 1
        assert found["gguf_usage_tokens_total", *who, "out"] == said["completion_tokens"]
        assert found["gguf_usage_tokens_total", *who, "in"] == said["prompt_tokens"]
        assert found["gguf_usage_slot_seconds_total", *who] > 0
        assert len(found) == 6
