"""Workers that are killed under load, one after the other: no request too many, and nothing of what they held leaks."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC
from pathlib import Path
from random import Random

import pytest

from gateway.core.rate_limits import Measure, RateLimit, SubjectKind
from gateway.usage.limits.arithmetic.counting import LimitStanding
from gateway.usage.limits.rate_limiter import counted_limit
from gateway.usage.limits.store.limit_file import look_into
from tests.harness import scene
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Closed
from tests.wire.operation.workers.several_workers import workers_of

pytestmark = [pytest.mark.tools, pytest.mark.timeout(600)]

_ROUNDS = 50
_WORKERS = 8  # each pauses for longer, the more often it has died: the others serve meanwhile
_TOKENS = 10  # of each answer
_AT_A_TIME, _A_MINUTE = 3, 200
_ANSWER = b'{"object":"chat.completion","usage":{"completion_tokens":4,"prompt_tokens":6,"total_tokens":10}}'
_UNDER_WAY = chat("demo")  # with a key that is limited in what it has under way, and in tokens
_BY_MINUTE = chat("foreign", path="/v1/completions", key=scene.TWIN_KEY)  # with one limited in requests a minute
_LIMITS = {
    scene.KEY: f"concurrent_requests: {_AT_A_TIME}, tokens_per_month: 100000000",
    scene.TWIN_KEY: f"requests_per_minute: {_A_MINUTE}",
}


def _config(upstream: str) -> str:
    config = scene.config(upstream, f"workers: {_WORKERS}")
    for key, limits in _LIMITS.items():
        config = config.replace(f"key: {key}}}", f"key: {key}, limits: {{{limits}}}}}")
    return config


def _answer(visit: Visit) -> None:
    """Takes a moment, so that requests are under way when a worker is killed."""
    visit.read_body()
    time.sleep(0.01)
    visit.answer(_ANSWER)


@contextmanager
def _load(gateway: GatewayProcess, data: bytes, clients: int) -> Iterator[None]:
    """So many clients ask again and again, over another connection where one is lost."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                with gateway.connect() as client:
                    while not over.is_set() and client.ask(data).status == 200:
                        pass
            except (OSError, Closed):
                pass
            over.wait(0.02)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _standing(state: Path, measure: Measure) -> LimitStanding:
    """How a limit of the first key stands in the file that the workers share."""
    [file] = state.rglob("*-limits")
    limit = RateLimit("", SubjectKind.KEY, "acme/main", measure, 1)
    [found] = look_into(file, UTC, [counted_limit(limit)])
    return found


def _is_settled(state: Path) -> bool:
    return not any(_standing(state, one).held for one in (Measure.CONCURRENT_REQUESTS, Measure.TOKENS_PER_MONTH))


def _kill_one(gateway: GatewayProcess, random: Random) -> None:
    """One of those that serve, at any moment."""
    threading.Event().wait(random.uniform(0.1, 1.0))
    wait_until(lambda: len(workers_of(gateway)) >= 2, "the workers are not started again")
    os.kill(random.choice(workers_of(gateway)), signal.SIGKILL)


def test_fifty_kills_under_load_let_no_request_too_many_pass(
    start_gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    gateway = start_gateway(_config(upstream.url), (), {"XDG_STATE_HOME": str(tmp_path)})
    with upstream.playing(_answer):
        assert gateway.ask(_UNDER_WAY).status == 200
        wait_until(lambda: _is_settled(tmp_path))  # from now on it is known how many tokens such a request takes
        begun, random = time.monotonic(), Random(1)
        with _load(gateway, _UNDER_WAY, 5), _load(gateway, _BY_MINUTE, 2):
            for _ in range(_ROUNDS):
                _kill_one(gateway, random)
        minutes = int((time.monotonic() - begun) // 60) + 1
    wait_until(lambda: _is_settled(tmp_path), "what killed workers had under way is still held")
    assert upstream.wait_for(lambda upstream: upstream.busy == 0)
    paths = [seen.line.split()[1] for seen in upstream.requests]
    by_minute, others = paths.count("/v1/completions"), paths.count("/v1/chat/completions")
    assert _A_MINUTE - _ROUNDS <= by_minute <= _A_MINUTE * minutes
    beyond = _standing(tmp_path, Measure.TOKENS_PER_MONTH).used - others * _TOKENS
    assert 0 <= beyond <= _ROUNDS * _AT_A_TIME * _TOKENS  # taken, but killed before it was sent
    _as_many_as_before(gateway, upstream)


def _as_many_as_before(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    go_on = threading.Event()

    def hold(visit: Visit) -> None:
        visit.read_body()
        assert go_on.wait(60)
        visit.answer(_ANSWER)

    upstream.forget()
    with upstream.playing(hold), ExitStack() as stack:
        clients = [stack.enter_context(gateway.connect()) for _ in range(_AT_A_TIME)]
        for client in clients:
            client.send(_UNDER_WAY)
        assert upstream.wait_for(lambda upstream: len(upstream.requests) == _AT_A_TIME)
        assert gateway.ask(_UNDER_WAY).status == 429
        go_on.set()
        assert [client.read_response().status for client in clients] == [200] * _AT_A_TIME
