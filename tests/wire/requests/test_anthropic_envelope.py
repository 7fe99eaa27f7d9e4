"""`server.anthropic_errors`: refusals on `/v1/messages` in Anthropic's envelope, by both ways in, and nowhere else."""

import pytest

from tests.harness import contract, scene
from tests.harness.contract import Promise
from tests.harness.processes.fleet import Fleet
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.witness import BODY_BYTES, line_of, warm, was_fast, witnessed_config
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Script, Visit
from tests.harness.sockets.wire_client import request

MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"


@pytest.fixture
def enveloping(
    fleet: Fleet, gateway_loop: str, shared_upstream: ScriptedUpstream, witness: dict[str, str]
) -> GatewayProcess:
    """A gateway with the setting on; it tells who takes the fast path."""
    config = witnessed_config(shared_upstream.url).replace("server: {", "server: {anthropic_errors: true, ", 1)
    return fleet.share(gateway_loop, config, witness)


def refused(path: str) -> dict[Promise, bytes]:
    """Refusals of each kind, of requests for one path."""
    return {
        contract.BAD_KEY: chat(key=None, path=path),
        contract.NO_DEPLOYMENT: chat("foreign", path=path),
        contract.EMPTY_BODY: chat(path=path, body=b""),
        contract.wrong_method("POST"): chat(path=path, method="GET", body=None),
        contract.ENCODED_BODY: chat("demo", "Content-Encoding: gzip", path=path),
        contract.EXPECTATION: chat("demo", "Expect: something", path=path),
        contract.too_large(BODY_BYTES): chat(path=path, body=b"x" * (BODY_BYTES + 1)),
    }


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_a_refusal_on_messages_has_the_envelope(enveloping: GatewayProcess, path: str) -> None:
    for promise, sent in refused(path).items():
        assert promise.is_kept_by(enveloping.ask(sent), enveloped=True)


def test_a_refusal_on_any_other_endpoint_has_none(enveloping: GatewayProcess) -> None:
    for promise, sent in refused("/v1/chat/completions").items():
        assert promise.is_kept_by(enveloping.ask(sent))


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_by_default_no_refusal_has_the_envelope(witnessed: GatewayProcess, path: str) -> None:
    for promise, sent in refused(path).items():
        assert promise.is_kept_by(witnessed.ask(sent))


@pytest.mark.parametrize(
    ("path", "enveloped", "right"),
    [
        *((f"{MESSAGES}/", True, ""), ("//v1/messages", True, ""), ("/v1/v1/messages", True, "")),
        *(("/messages", True, "/v1"), (f"{MESSAGES}/batches", True, None), ("/v1/messages-x", False, None)),
        *(("/v1/threads/1/messages", False, None), ("/v1/files", False, None)),
    ],
)
def test_what_is_not_served_is_refused_in_the_shape_of_its_client(
    enveloping: GatewayProcess, path: str, enveloped: bool, right: str | None
) -> None:
    said = contract.NO_SUCH_PATH if right is None else contract.one_slip_off(scene.BASE + right)
    assert said.is_kept_by(enveloping.ask(chat(path=path)), enveloped=enveloped)
    unkeyed = enveloping.ask(request(f"{scene.BASE}{path}", body=b"{}"))
    assert contract.BAD_KEY.is_kept_by(unkeyed, enveloped=enveloped)


def silent(visit: Visit) -> None:
    visit.read_body()
    visit.wait_until_left()


def broken(visit: Visit) -> None:
    visit.read_body()
    visit.close()


@pytest.mark.slow
@pytest.mark.parametrize("query", ["", "?beta=true!"], ids=["fast", "by aiohttp"])
@pytest.mark.parametrize(("script", "promise"), [(silent, contract.TIMED_OUT), (broken, contract.UNREACHABLE)])
def test_both_ways_in_envelop_what_the_relay_refuses(
    enveloping: GatewayProcess, upstream: ScriptedUpstream, script: Script, promise: Promise, query: str
) -> None:
    warm(enveloping, upstream, "brisk")
    start = enveloping.mark_log()
    sent = request(f"/api/gguf/brisk{MESSAGES}{query}", "x-request-id: relayed", key=scene.KEY, body=b"{}")
    with upstream.playing(script):
        response = enveloping.ask(sent)
    assert promise.is_kept_by(response, enveloped=True)
    assert was_fast(enveloping, "relayed", start) == (not query)
    assert line_of(enveloping, "relayed", start)["bytes_out"] == len(response.body)


def test_an_error_of_the_model_server_passes_as_it_is(enveloping: GatewayProcess, upstream: ScriptedUpstream) -> None:
    body = b'{"error":{"code":400,"message":"no","type":"invalid_request_error"}}'

    def answer(visit: Visit) -> None:
        visit.read_body()
        visit.answer(body, "400 Bad Request")

    with upstream.playing(answer):
        assert enveloping.ask(chat(path=MESSAGES)).body == body


def test_what_cannot_be_read_has_no_path_and_no_envelope(enveloping: GatewayProcess) -> None:
    assert contract.is_a_refusal(enveloping.ask(b"nonsense\r\n\r\n"), 400)
