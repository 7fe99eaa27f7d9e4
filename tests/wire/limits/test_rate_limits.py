"""Requests a minute, as clients meet them: on both ways in, in both protocols' words, from either kind of source."""

from pathlib import Path

import pytest

from tests.harness import contract, scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import Response, chunked

PLAIN = chat("demo")
_LENGTH = b"Content-Length: %d\r\n\r\n%b" % (len(scene.BODY), scene.BODY)
IN_CHUNKS = PLAIN.replace(_LENGTH, b"Transfer-Encoding: chunked\r\n\r\n" + chunked(scene.BODY))
MESSAGES = chat("demo", path="/v1/messages")


def limited(upstream: ScriptedUpstream, limits: str, server: str = "") -> str:
    """A configuration with limits on one key."""
    key = f"key: {scene.KEY}"
    return scene.config(upstream.url, server).replace(key, f"{key}, limits: {{{limits}}}")


@pytest.fixture
def state(tmp_path: Path) -> dict[str, str]:
    """The environment of gateways that share what they count."""
    return {"XDG_STATE_HOME": str(tmp_path)}


def is_refused(response: Response, words: str) -> bool:
    assert contract.is_a_refusal(response, 429)
    assert response.json()["error"]["type"] == "rate_limit_error"
    assert words in response.json()["error"]["message"]
    return True


@pytest.mark.parametrize("data", [PLAIN, IN_CHUNKS, MESSAGES], ids=["fast path", "aiohttp's", "messages"])
def test_a_request_too_many_is_refused_whichever_way_it_comes(
    start_gateway: StartGateway, upstream: ScriptedUpstream, state: dict[str, str], data: bytes
) -> None:
    gateway = start_gateway(limited(upstream, "requests_per_minute: 3"), (), state)
    answers = [gateway.ask(data) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert is_refused(answers[-1], "3 requests a minute for this key; try again in ")
    assert len(upstream.requests) == 3
    seconds = answers[-1].header("Retry-After")
    assert seconds is not None
    assert 1 <= int(seconds) <= 60
    assert answers[-1].header("x-should-retry") == "true"
    others = gateway.ask(chat("foreign", key=scene.TWIN_KEY))
    assert others.status == 200
    assert others.header("x-ratelimit-limit-requests") is None


def test_both_ways_count_together_and_a_mix_of_them_once(
    start_gateway: StartGateway, upstream: ScriptedUpstream, state: dict[str, str]
) -> None:
    gateway = start_gateway(limited(upstream, "requests_per_minute: 4"), (), state)
    with gateway.connect() as client:
        client.send(PLAIN + IN_CHUNKS + PLAIN + IN_CHUNKS + PLAIN + IN_CHUNKS)
        assert [client.read_response().status for _ in range(6)] == [200] * 4 + [429] * 2


def test_openai_s_clients_are_told_what_is_left_in_openai_s_words(
    start_gateway: StartGateway, upstream: ScriptedUpstream, state: dict[str, str]
) -> None:
    gateway = start_gateway(limited(upstream, "requests_per_minute: 2"), (), state)
    told = [(gateway.ask(PLAIN), left) for left in ("1", "0", "0")]
    for response, left in told:
        assert response.header("x-ratelimit-limit-requests") == "2"
        assert response.header("x-ratelimit-remaining-requests") == left
        assert response.header("x-ratelimit-reset-requests") in {"1m0s", "59s", "58s"}
        assert response.header("anthropic-ratelimit-requests-limit") is None


def test_anthropic_s_clients_are_told_in_anthropic_s_words(
    start_gateway: StartGateway, upstream: ScriptedUpstream, state: dict[str, str]
) -> None:
    gateway = start_gateway(limited(upstream, "requests_per_minute: 1"), (), state)
    for response in (gateway.ask(MESSAGES), gateway.ask(MESSAGES)):
        assert response.header("anthropic-ratelimit-requests-limit") == "1"
        assert response.header("anthropic-ratelimit-requests-remaining") == "0"
        assert (response.header("anthropic-ratelimit-requests-reset") or "").endswith("Z")
        assert response.header("x-ratelimit-limit-requests") is None


def test_a_limit_in_its_shadow_refuses_nobody_and_says_nothing(
    start_gateway: StartGateway, upstream: ScriptedUpstream, state: dict[str, str]
) -> None:
    gateway = start_gateway(limited(upstream, "requests_per_minute: 1, shadow: [requests_per_minute]"), (), state)
    answers = [gateway.ask(PLAIN) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert all(answer.header("x-ratelimit-limit-requests") is None for answer in answers)


@pytest.mark.slow
def test_workers_count_together(start_gateway: StartGateway, upstream: ScriptedUpstream, state: dict[str, str]) -> None:
    gateway = start_gateway(limited(upstream, "requests_per_minute: 20", "workers: 2"), (), state)
    statuses = [gateway.ask(PLAIN).status for _ in range(60)]
    assert statuses.count(200) == 20
    assert statuses.count(429) == 40
