"""What every request passes, when the gateway itself is at fault."""

import logging

import aiohttp
import pytest
from aiohttp import web
from aiohttp.http_exceptions import TransferEncodingError
from yarl import URL

from gateway.core import errors
from gateway.core.account import Key
from gateway.core.deployment import Deployment, Status
from gateway.core.exchange import Exchange
from gateway.core.secret_text import digest_of
from gateway.proxy.queue.deployment_line import Claimant
from gateway.proxy.relay import RELAY
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.connection_pool import ConnectionPool
from gateway.registry.base import Snapshot
from gateway.server import request_pipeline
from gateway.server.handlers.probes import SHUTDOWN
from gateway.telemetry.access_log import ACCESS
from mockserver import MockLlamaServer
from tests.harness.pages.status_pages import KEY, NOWHERE, serving


async def test_a_fault_of_ours_is_a_500_of_the_contract_and_counted_as_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_arguments: object) -> None:
        raise RuntimeError("a canary of a cause")

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(request_pipeline, "answer_proxied", broken)
    async with serving([Deployment("demo", "acme", NOWHERE, status=Status.READY)]) as gateway:
        url = f"{gateway.url}/api/gguf/demo/v1/models"
        async with aiohttp.ClientSession() as client, client.get(url, headers={"key": KEY}) as answer:
            assert (answer.status, await answer.read()) == (500, errors.Refusal(errors.FAULT).body)
        metrics = gateway.app[ACCESS].metrics
    assert metrics.refusals == {"fault": 1}
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]
    endings = [record.__dict__["request"]["ending"] for record in caplog.records if "request" in record.__dict__]
    assert endings == ["fault"]


@pytest.mark.parametrize(
    ("asked_for", "named"),
    [
        ("no-such.thing", "no-such.thing"),
        ("theirs", "theirs"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "what was asked for"),
        ("%0a", "what was asked for"),
        ("<b>", "what was asked for"),
        (KEY, "what was asked for"),
        ("gw_a_key_that_nobody_knows", "what was asked for"),
        ("homemade-secret", "what was asked for"),
    ],
)
async def test_the_operator_is_told_which_deployment_there_was_not(
    caplog: pytest.LogCaptureFixture, asked_for: str, named: str
) -> None:
    caplog.set_level(logging.INFO)
    async with serving([Deployment("theirs", "widgets", NOWHERE, status=Status.READY)]) as gateway:
        snapshot, key = gateway.registry.snapshot, Key("k2", "old", "acme", digest_of("homemade-secret"))
        gateway.registry.replace(Snapshot.of([*snapshot.keys.values(), key], snapshot.deployments.values()))
        url = URL(f"{gateway.url}/api/gguf/{asked_for}/v1/models", encoded=True)
        async with aiohttp.ClientSession() as client, client.get(url, headers={"key": KEY}) as answer:
            assert (answer.status, await answer.read()) == (404, errors.Refusal(errors.NO_DEPLOYMENT).body)
        (refused,) = gateway.app[ACCESS].refused
    (line,) = [record.__dict__["request"] for record in caplog.records if "request" in record.__dict__]
    assert line["cause"] == refused.cause == f"{named} is no deployment of this account"
    assert line["deployment"] is None


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/static/status.css", 200),
        ("GET", "/metrics", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 503),
        ("HEAD", "/", 200),
        ("GET", "/nowhere", 404),
        ("HEAD", "/healthz", 200),
        ("PUT", "/healthz", 405),
    ],
)
async def test_a_page_of_the_gateways_own_is_measured_as_any_answer(
    caplog: pytest.LogCaptureFixture, method: str, path: str, status: int
) -> None:
    caplog.set_level(logging.INFO)
    async with serving() as gateway, aiohttp.ClientSession() as client:
        if path == "/readyz":
            gateway.app[SHUTDOWN].is_announced = True
        async with client.request(method, gateway.url + path) as answer:
            assert answer.status == status
            size = len(await answer.read())
    (line,) = [record.__dict__["request"] for record in caplog.records if "request" in record.__dict__]
    assert line["bytes_out"] == size
    assert (line["first_byte_ms"] is None) == (status in {404, 405})


async def test_the_status_pages_stream_is_measured_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with (
        serving() as gateway,
        aiohttp.ClientSession() as client,
        client.get(f"{gateway.url}/events") as events,
    ):
        first = await events.content.readuntil(b"refusals-title")  # it is drawn in a thread
        await gateway.stop()
        size = len(first + await events.read())
    (line,) = [record.__dict__["request"] for record in caplog.records if "request" in record.__dict__]
    assert line["bytes_out"] == size > 1000
    assert 0 <= line["first_byte_ms"] <= line["total_ms"]


async def test_a_connection_that_stands_as_the_drain_ends_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        MockLlamaServer() as mock,
        serving([Deployment("demo", "acme", mock.url, status=Status.READY)]) as gateway,
    ):
        connect = ConnectionPool.connect

        async def connect_at_the_end_of_the_drain(
            upstream: ConnectionPool, claimant: Claimant | None, exchange: Exchange
        ) -> UpstreamConnection:
            connection = await connect(upstream, claimant, exchange)
            gateway.app[RELAY].cut_all()
            return connection

        monkeypatch.setattr(ConnectionPool, "connect", connect_at_the_end_of_the_drain)
        url = f"{gateway.url}/api/gguf/demo/v1/models?the=long_way!"
        async with aiohttp.ClientSession() as client, client.get(url, headers={"key": KEY}) as answer:
            assert (answer.status, await answer.read()) == (503, errors.Refusal(errors.DRAINING).body)
        assert [seen.path for seen in mock.requests if seen.path not in {"/health", "/props"}] == []


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
    assert all("internal error" in record.getMessage() for record in said)


@pytest.mark.parametrize("kind", [ConnectionResetError, web.RequestPayloadError, TransferEncodingError])
async def test_what_a_client_does_is_a_line_for_debugging_and_no_traceback(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway.http")
    await failing_with(kind("a canary of the body"), monkeypatch)
    said = [record for record in caplog.records if record.name.startswith("gateway")]  # the mock's are its own
    assert all(record.exc_info is None and "canary" not in record.getMessage() for record in said)
    assert all(record.levelno == logging.DEBUG for record in said if record.name == "gateway.http")
