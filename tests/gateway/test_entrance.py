"""What every request passes, when the gateway itself is at fault."""

import logging

import aiohttp
import pytest

from gateway import entrance, errors
from gateway.access import ACCESS
from gateway.deployment import Deployment, Status
from tests.gateway.status_pages import KEY, NOWHERE, serving


async def test_a_fault_of_ours_is_a_500_of_the_contract_and_counted_as_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_arguments: object) -> None:
        raise RuntimeError("a canary of a cause")

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(entrance, "inference", broken)
    async with serving([Deployment("demo", "acme", NOWHERE, status=Status.READY)]) as gateway:
        url = f"{gateway.url}/api/gguf/demo/v1/models"
        async with aiohttp.ClientSession() as client, client.get(url, headers={"key": KEY}) as answer:
            assert (answer.status, await answer.read()) == (500, errors.Refusal(errors.FAULT).body)
        metrics = gateway.app[ACCESS].metrics
    assert metrics.refusals == {("fault",): 1}
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]
    endings = [record.__dict__["request"]["ending"] for record in caplog.records if "request" in record.__dict__]
    assert endings == ["fault"]
