"""Both official SDKs, past a limit: they wait as long as they are told, by themselves, and then are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anthropic
import openai
import pytest

from mockserver import MockLlamaServer
from tests.harness.processes.gateway_process import GatewayProcess

pytestmark = pytest.mark.slow

_CONFIG = """
server: {{port: 0, workers: 2}}
accounts:
  acme:
    keys:
      - {{name: openai, key: gw_of_the_openai_sdk, limits: {{requests_per_minute: 2}}}}
      - {{name: anthropic, key: gw_of_the_anthropic_sdk, limits: {{requests_per_minute: 2}}}}
      - {{name: single, key: gw_one_at_a_time, limits: {{concurrent_requests: 1}}}}
      - {{name: spent, key: gw_spent_by_openai, limits: {{tokens_per_day: 1}}}}
      - {{name: too, key: gw_spent_by_anthropic, limits: {{tokens_per_day: 1}}}}
deployments: {{demo: {{account: acme, upstream: "{upstream}", status: ready}}}}
"""
_HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    """One with a deployment whose keys are limited."""
    path = tmp_path / "gateway.yaml"
    with MockLlamaServer(tokens_per_second=400) as mock:
        path.write_text(_CONFIG.format(upstream=mock.url))
        gateway = GatewayProcess(path, environ={"XDG_STATE_HOME": str(tmp_path)}).wait_until_serving()
        yield gateway
        gateway.stop()


@pytest.fixture
def limited(gateway: GatewayProcess) -> str:
    """The base URL of its deployment."""
    return f"http://127.0.0.1:{gateway.port}/api/gguf/demo"


def refusals(gateway: GatewayProcess, reason: str) -> int:
    """How many requests were refused for this reason, in all; it serves no longer then."""
    gateway.stop()
    return gateway.log.since(0).count(reason)


def by_openai(base: str, key: str) -> Callable[[], object]:
    def ask() -> object:
        with openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=2) as client:
            return client.chat.completions.create(model="any", messages=_HELLO, max_tokens=4)  # type: ignore[arg-type]

    return ask


def by_anthropic(base: str, key: str) -> Callable[[], object]:
    def ask() -> object:
        with anthropic.Anthropic(base_url=base, api_key=key, max_retries=2) as client:
            return client.messages.create(model="any", messages=_HELLO, max_tokens=4)  # type: ignore[arg-type]

    return ask


@pytest.mark.timeout(180)
def test_they_wait_for_the_next_minute_and_then_are_answered(gateway: GatewayProcess, limited: str) -> None:
    def seconds_of_three(ask: Callable[[], object]) -> float:
        begun = time.monotonic()
        assert all(ask() for _ in range(3))
        return time.monotonic() - begun

    with ThreadPoolExecutor() as pool:
        asked = [by_openai(limited, "gw_of_the_openai_sdk"), by_anthropic(limited, "gw_of_the_anthropic_sdk")]
        assert min(pool.map(seconds_of_three, asked)) >= 60
    assert refusals(gateway, "rate_limited") == len(asked), "each third one waited once, for as long as it was told"


@pytest.mark.parametrize("ask_by", [by_openai, by_anthropic])
def test_they_come_through_while_another_request_runs(
    limited: str, ask_by: Callable[..., Callable[[], object]]
) -> None:
    asks = [ask_by(limited, "gw_one_at_a_time") for _ in range(2)]
    together = threading.Barrier(2)

    def ask(one: Callable[[], object]) -> object:
        together.wait()
        return one()

    with ThreadPoolExecutor() as pool:
        assert all(pool.map(ask, asks))


def test_they_do_not_wait_for_the_next_day(gateway: GatewayProcess, limited: str) -> None:
    for error, ask in (
        (openai.RateLimitError, by_openai(limited, "gw_spent_by_openai")),
        (anthropic.RateLimitError, by_anthropic(limited, "gw_spent_by_anthropic")),
    ):
        ask()
        with pytest.raises(error, match="Budget used up: 1 token a day for this key"):
            ask()
    assert refusals(gateway, "budget_spent") == 2, "neither tried again"
