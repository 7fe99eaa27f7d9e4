"""What operators do to a running gateway that is no request: hurry it."""

import asyncio
import json
from pathlib import Path

from gateway.registry.yaml_file import YamlRegistry
from tests.harness.patience import PATIENCE


def _configuration(*deployments: str) -> str:
    entries = {name: {"account": "acme", "upstream": "http://127.0.0.1:9"} for name in deployments}
    return json.dumps({"accounts": {"acme": {"keys": [{"name": "one", "key": "gw_12345678"}]}}, "deployments": entries})


async def test_a_registry_told_to_look_does_not_wait_for_its_next_turn(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(_configuration("one"))
    registry = YamlRegistry(path, interval=3600)
    await registry.open()
    changed = asyncio.Event()
    registry.listeners.append(changed.set)
    for number in range(3):
        path.write_text(_configuration("one", f"number-{number}"))
        registry.look_soon()
        async with asyncio.timeout(PATIENCE):
            await changed.wait()
        changed.clear()
        assert set(registry.snapshot.deployments) == {"one", f"number-{number}"}
    await registry.close()
