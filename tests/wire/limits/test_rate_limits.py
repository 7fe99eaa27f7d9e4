"""Requests a minute, as clients meet them: on both ways in, in both protocols' words, whichever worker they come to."""

import pytest

from tests.harness import contract, scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import Response
from tests.wire.limits.limited_keys import in_chunks, limited, messages, plain


def is_refused(response: Response, words: str) -> bool:
    assert contract.is_a_refusal(response, 429)
    assert response.json()["error"]["type"] == "rate_limit_error"
    assert words in response.json()["error"]["message"]
    return True


@pytest.mark.parametrize(
    "data", [plain("plain"), in_chunks("chunks"), messages("messages")], ids=["fast path", "aiohttp's", "messages"]
)
def test_a_request_too_many_is_refused_whichever_way_it_comes(
    limited_gateway: GatewayProcess, upstream: ScriptedUpstream, data: bytes
) -> None:
    answers = [limited_gateway.ask(data) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert is_refused(answers[-1], "3 requests a minute for this key; try again in ")
    assert len(upstream.requests) == 3
    seconds = answers[-1].header("Retry-After")
    assert seconds is not None
    assert 1 <= int(seconds) <= 60
    assert answers[-1].header("x-should-retry") == "true"
    others = limited_gateway.ask(chat("foreign", key=scene.TWIN_KEY))
    assert others.status == 200
    assert others.header("x-ratelimit-limit-requests") is None


def test_both_ways_count_together_and_a_mix_of_them_once(limited_gateway: GatewayProcess) -> None:
    asked = [plain("mixed"), in_chunks("mixed")] * 3  # each on a connection of its own: together all would take one way
    assert [limited_gateway.ask(data).status for data in asked] == [200] * 4 + [429] * 2


def test_openai_s_clients_are_told_what_is_left_in_openai_s_words(limited_gateway: GatewayProcess) -> None:
    told = [(limited_gateway.ask(plain("openai")), left) for left in ("1", "0", "0")]
    for response, left in told:
        assert response.header("x-ratelimit-limit-requests") == "2"
        assert response.header("x-ratelimit-remaining-requests") == left
        assert response.header("x-ratelimit-reset-requests") in {"1m0s", "59s", "58s"}
        assert response.header("anthropic-ratelimit-requests-limit") is None


def test_anthropic_s_clients_are_told_in_anthropic_s_words(limited_gateway: GatewayProcess) -> None:
    for response in [limited_gateway.ask(messages("anthropic")) for _ in range(2)]:
        assert response.header("anthropic-ratelimit-requests-limit") == "1"
        assert response.header("anthropic-ratelimit-requests-remaining") == "0"
        assert (response.header("anthropic-ratelimit-requests-reset") or "").endswith("Z")
        assert response.header("x-ratelimit-limit-requests") is None


def test_a_limit_in_its_shadow_refuses_nobody_and_says_nothing(limited_gateway: GatewayProcess) -> None:
    answers = [limited_gateway.ask(plain("shadow")) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert all(answer.header("x-ratelimit-limit-requests") is None for answer in answers)


@pytest.mark.slow
def test_workers_count_together(
    start_gateway: StartGateway, upstream: ScriptedUpstream, counting: dict[str, str]
) -> None:
    gateway = start_gateway(limited(upstream.url, "requests_per_minute: 20", "workers: 2"), (), counting)
    statuses = [gateway.ask(chat("demo")).status for _ in range(60)]
    assert statuses.count(200) == 20
    assert statuses.count(429) == 40
