"""What every request passes, when the gateway itself is at fault."""

import logging

import aiohttp
import pytest
from aiohttp import web
from aiohttp.http_exceptions import TransferEncodingError

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


async def failing_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a gateway that fails so where nothing of its own stands between it and aiohttp; and once more, all well."""

    async def broken(*_arguments: object) -> None:
        raise error

    async with serving() as gateway, aiohttp.ClientSession() as client:
        with monkeypatch.context() as fault:
            fault.setattr(web.Response, "write_eof", broken)
            with pytest.raises(aiohttp.ClientError):
                await client.get(f"{gateway.url}/healthz")
        async with client.get(f"{gateway.url}/healthz") as answer:
            assert answer.status == 200


async def test_a_fault_of_ours_that_only_aiohttp_sees_is_said_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fault = RuntimeError("a canary of a cause")
    await failing_with(fault, monkeypatch)
    said = [record for record in caplog.records if record.name == "gateway.http"]
    assert said  # as often as the client tries
    assert all(record.levelno == logging.ERROR and record.exc_info and record.exc_info[1] is fault for record in said)
    assert all("a fault of the gateway" in record.getMessage() for record in said)


@pytest.mark.parametrize("kind", [ConnectionResetError, web.RequestPayloadError, TransferEncodingError])
async def test_what_a_client_does_is_a_line_for_debugging_and_no_traceback(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway.http")
    await failing_with(kind("a canary of the body"), monkeypatch)
    said = [record for record in caplog.records if record.name == "gateway.http"]
    assert all(record.levelno == logging.DEBUG and record.exc_info is None for record in said)
    assert "canary" not in caplog.text
