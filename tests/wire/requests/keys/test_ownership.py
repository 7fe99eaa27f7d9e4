"""Table A: nobody gets at, or learns of, what another owns; not by guessing either."""

import os
import threading
import time
from collections.abc import Iterator
from statistics import median

import pytest

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request
from tests.wire.requests.keys.asking import ask_models


def test_A16_keys_that_differ_in_their_last_character_are_never_crossed(gateway: GatewayProcess) -> None:
    with gateway.connect() as client:
        for _ in range(200):
            for key, target, status in (
                (scene.KEY, scene.BASE, 200),
                (scene.TWIN_KEY, scene.BASE, 404),
                (scene.TWIN_KEY, scene.FOREIGN, 200),
                (scene.KEY, scene.FOREIGN, 404),
            ):
                assert client.ask(ask_models(target=f"{target}/v1/models", key=key)).status == status


@pytest.mark.parametrize("endpoint", scene.ENDPOINTS)
def test_A17_a_foreign_a_missing_and_a_malformed_deployment_look_the_same(
    gateway: GatewayProcess, upstream: ScriptedUpstream, endpoint: str
) -> None:
    heads = set()
    for name in (
        "foreign",
        "missing",
        "x" * 300,
        "-",
        "a%2Fb",
        "demo%00",
        "DEMO",
        "demo.",
        "%F0%9F%98%80",
        "foreign%20",
    ):
        asked = request(
            f"/api/gguf/{name}{endpoint}", "x-request-id: same", method=scene.ENDPOINTS[endpoint], key=scene.KEY
        )
        response = gateway.ask(asked)
        assert contract.NO_DEPLOYMENT.is_kept_by(response), name
        heads.add(tuple(header for header in response.headers if header[0] != "Date"))
    assert len(heads) == 1
    assert upstream.requests == []


def test_A18_no_answer_names_a_foreign_deployment(gateway: GatewayProcess) -> None:
    for target in ("/api/gguf", "/api/gguf/", "/api/gguf/foreig/v1/models", f"{scene.FOREIGN}/v1", "/v1/models"):
        with gateway.connect() as client:
            client.ask(ask_models(target=target, key=scene.KEY))
            assert b"foreign" not in client.received, target


def test_A19_refusals_of_one_kind_take_the_same_time(gateway: GatewayProcess) -> None:
    """There is no order that a listener could use. Noise makes one at times, so more is measured until there is none.

    That a key was once good costs the word more that its line in the log has. Nobody can guess what to ask there.
    """
    foreign, missing = f"{scene.FOREIGN}/v1/models", "/api/gguf/missing/v1/models"
    ids = ask_models(target=foreign, key=scene.KEY), ask_models(target=missing, key=scene.KEY)
    assert any(_have_no_order(*took) for took in _ever_more_times(gateway, *ids))
    keys = ask_models(key=scene.EXPIRED_KEY), ask_models(key=scene.EXPIRED_KEY[:-1] + "X")
    assert any(_are_close(*took) for took in _ever_more_times(gateway, *keys))


def _ever_more_times(gateway: GatewayProcess, one: bytes, other: bytes) -> Iterator[tuple[list[float], list[float]]]:
    """Seconds that each took: 200 times, then 400, to 4,000. What is a difference shows the clearer, noise the less."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(20):
        with gateway.connect() as client:
            for asked, times in ((one, took[0]), (other, took[1]), (other, took[1]), (one, took[0])) * 100:
                begun = time.perf_counter()
                client.ask(asked)
                times.append(time.perf_counter() - begun)
        yield took


def _have_no_order(one: list[float], other: list[float]) -> bool:
    """Whether the area under the curve of who is later is about a half."""
    ranked = sorted([(took, 0) for took in one] + [(took, 1) for took in other])
    ranks = sum(rank for rank, (_, which) in enumerate(ranked, 1) if which)
    curve = (ranks - len(other) * (len(other) + 1) / 2) / (len(one) * len(other))
    return 0.4 < curve < 0.6


def _are_close(one: list[float], other: list[float]) -> bool:
    return 0.9 < median(one) / median(other) < 1.1


def test_A20_brute_force_hurts_nobody_else(gateway: GatewayProcess) -> None:
    stop = threading.Event()
    tried = []

    def guess() -> None:
        with gateway.connect() as client:
            while not stop.is_set():
                assert client.ask(ask_models(key=f"gw_CANARYKEY{os.urandom(12).hex()}")).status == 401
                tried.append(1)

    before, line = gateway.memory(), gateway.mark_log()
    guessers = [threading.Thread(target=guess) for _ in range(4)]
    for guesser in guessers:
        guesser.start()
    with gateway.connect() as client:
        for _ in range(100):
            assert client.ask(ask_models(key=scene.KEY)).status == 200
    meanwhile = len(tried)
    stop.set()
    for guesser in guessers:
        guesser.join()
    assert 0 < meanwhile < 10 * 4 * 100, "each of the four guesses has had ten turns for one of the good client"
    assert gateway.memory() - before < 8 << 20
    assert max(len(text) for text in gateway.log.lines[line:]) < 1024
