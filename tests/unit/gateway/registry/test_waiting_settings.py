"""Whole sections of the file that come and go while it is watched, and wait for the next start."""

import logging
from pathlib import Path

import pytest

from gateway.registry.yaml_file import YamlRegistry
from tests.harness.storage.registries import in_force, opened

KEYS = "accounts: {acme: {keys: [{name: laptop, key: a-key-for-this-test}]}}\n"


@pytest.mark.parametrize(("first", "then"), [("{}", "{admin: {port: 9090}}"), ("{admin: {port: 9090}}", "{}")])
async def test_a_port_for_the_operator_that_comes_or_goes_waits_for_a_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: str, then: str
) -> None:
    caplog.set_level(logging.INFO, "gateway.registry")
    path = tmp_path / "gateway.yaml"
    path.write_text(f"server: {first}\n{KEYS}")
    registry = YamlRegistry(path, {}, interval=0.05)
    async with opened(registry):
        before = registry.settings

        async def edit() -> None:
            path.write_text(f"server: {then}\n{KEYS}")

        await in_force(registry, edit(), lambda: registry.settings != before)
        assert registry.problem is None
    (said,) = [record.getMessage() for record in caplog.records if "next start" in record.getMessage()]
    assert "server.admin" in said
