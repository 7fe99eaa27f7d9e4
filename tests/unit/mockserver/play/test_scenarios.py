"""Scenarios: the life cycle by script, in real time and in virtual time, where every run is the same."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mockserver import MockLlamaServer
from mockserver.core.rule_syntax import BadRule
from mockserver.core.virtual_clock import START, VirtualClock
from mockserver.play.scenario import load
from tests.harness.sockets.rawhttp import ask, connect, encode, is_refused
from tests.unit.mockserver.play.scripted_mock import CHAT, PLAIN, STREAM, control

TIMELINE = """
clock: virtual
seed: 7
timeline:
  - at: 0
    state: deploying
  - at: 3
    state: ready
  - at: 10
    state: restarting
    down_seconds: 2
faults:
  - 503 times=1 when.stream=true
"""


def written(folder: Path, text: str) -> str:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


async def test_a_timeline_is_played_when_time_passes(tmp_path: Path) -> None:
    async with MockLlamaServer(scenario=written(tmp_path, TIMELINE)) as mock:
        seen = [mock.state.value]
        for _ in range(14):
            await mock.advance(1)
            seen.append(mock.state.value)
        expected = ["deploying"] * 3 + ["ready"] * 7 + ["restarting"] * 2 + ["ready"] * 3
        assert seen == expected


async def test_a_state_on_the_timeline_is_what_a_client_meets(tmp_path: Path) -> None:
    async with MockLlamaServer(scenario=written(tmp_path, TIMELINE)) as mock:
        assert (await ask(mock.url, "GET", "/health")).status == 503
        await mock.advance(3)
        assert [(await ask(mock.url, "POST", CHAT, body)).status for body in (PLAIN, STREAM, STREAM)] == [200, 503, 200]
        await mock.advance(7)
        assert await is_refused(mock.url)
        await mock.advance(2)
        assert (await ask(mock.url, "GET", "/health")).status == 200


async def run_once(path: str) -> tuple[bytes, str]:
    """One run of a script: every byte that the clients got, and the journal."""
    received, clients = [], []
    async with MockLlamaServer(scenario=path, slots=2, tokens_per_second=10, ttft=0.5, jitter=0.5) as mock:
        received.append((await ask(mock.url, "GET", "/health")).body)
        await mock.advance(3)
        for number, limit in enumerate((5, 20, 20, 200)):
            reader, writer = await connect(mock.url)
            writer.write(encode("POST", CHAT, {}, json.dumps(STREAM | {"max_tokens": limit}).encode()))
            await mock.wait_for_requests(number + 2)
            clients.append((reader, writer))
        await mock.advance(7)
        for reader, writer in clients:
            received.append(await reader.read(-1))
            writer.close()
        return b"|".join(received), json.dumps([exchange.as_json() for exchange in mock.requests])


async def test_twenty_runs_of_one_script_are_the_same_to_the_byte(tmp_path: Path) -> None:
    path = written(tmp_path, TIMELINE)
    runs = [await run_once(path) for _ in range(20)]
    assert set(runs) == {runs[0]}
    said, journal = runs[0]
    assert b"predicted_ms" in said
    assert f'"created":{START + 3}'.encode() in said
    assert '"how": "cut by the mock after' in journal


async def test_another_seed_is_another_run(tmp_path: Path) -> None:
    one = await run_once(written(tmp_path, TIMELINE))
    assert await run_once(written(tmp_path, TIMELINE.replace("seed: 7", "seed: 8"))) != one


async def test_virtual_time_wakes_everyone_in_order_and_not_before() -> None:
    clock, woken = VirtualClock(), list[str]()

    async def sleep(name: str, *moments: float) -> None:
        for moment in moments:
            await clock.sleep_until(moment)
            woken.append(f"{name}{clock.now():g}")

    sleepers = [asyncio.create_task(sleep(*about)) for about in (("a", 3, 4), ("b", 1, 4), ("c", 2), ("d", 9))]
    await clock.advance(4)
    assert woken == ["b1", "c2", "a3", "b4", "a4"]
    assert clock.unix() == START + 4
    sleepers[-1].cancel()
    await clock.advance(10)
    assert len(woken) == 5


async def test_real_time_cannot_be_advanced() -> None:
    async with MockLlamaServer() as mock:
        with pytest.raises(ValueError, match="the clock is real and cannot be advanced by 3 s"):
            await mock.advance(3)
        assert (await control(mock, "POST", "clock", {"advance_seconds": 3}))[0] == 400


async def test_a_scenario_runs_in_real_time_too() -> None:
    async with MockLlamaServer() as mock:
        await mock.play([{"state": "paused"}, {"at": 0.1, "state": "deploying"}])
        await mock.wait_for_state("deploying")
        assert (await ask(mock.url, "GET", "/health")).status == 503
        await mock.play([{"state": "paused"}, {"at": 0.1, "state": "ready"}])
        await mock.wait_for_state("ready")
        assert (await ask(mock.url, "GET", "/health")).status == 200


async def test_a_scenario_arms_faults_and_cans_answers_at_their_time() -> None:
    async with MockLlamaServer(clock="virtual") as mock:
        entries = [{"at": 5, "faults": ["503 times=1"], "answers": ["Canned.", {"text": "Never.", "when": {}}]}]
        await mock.play(entries)
        assert (await ask(mock.url, "POST", CHAT, PLAIN)).status == 200
        await mock.advance(5)
        assert (await ask(mock.url, "POST", CHAT, PLAIN)).status == 503
        answer = await ask(mock.url, "POST", CHAT, PLAIN)
        assert answer.json()["choices"][0]["message"]["content"] == "Canned."


async def test_clock_and_scenario_are_steered_over_the_control_port() -> None:
    async with MockLlamaServer(clock="virtual") as mock:
        body = {"timeline": [{"at": 0, "state": "paused"}, {"at": 4, "state": "ready"}]}
        assert await control(mock, "POST", "scenario", body) == (200, {"scenario": {"at": 0.0, "done": 1, "of": 2}})
        assert (await control(mock, "POST", "clock", {"advance_seconds": 3.5}))[1] == {"clock": "virtual", "now": 3.5}
        assert mock.state == "paused"
        await control(mock, "POST", "clock", {"advance_seconds": 0.5})
        assert mock.state == "ready"
        assert (await control(mock, "GET", "clock"))[1]["now"] == 4
        await control(mock, "POST", "scenario", {"timeline": [{"at": 1, "state": "paused"}]})
        assert (await control(mock, "DELETE", "scenario"))[0] == 204
        await mock.advance(2)
        assert (mock.state, (await control(mock, "GET", "scenario"))[1]) == ("ready", {"scenario": None})
        status, answer = await control(mock, "POST", "scenario", {"clock": "real"})
        assert (status, answer["error"]) == (400, "The clock is virtual, and is chosen when the mock is started.")


@pytest.mark.parametrize("body", [{}, {"advance_seconds": "3"}, {"advance_seconds": -1}, {"seconds": 3}])
async def test_a_bad_advance_is_refused_with_a_sentence(body: Any) -> None:
    async with MockLlamaServer(clock="virtual") as mock:
        assert (await control(mock, "POST", "clock", body))[0] == 400


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("timeline: [{at: 0, state: burning}]", "'timeline.0.state': Input should be 'ready', "),
        ("timeline: [{at: 3}, {at: 1}]", "the timeline goes back from 3 to 1 s."),
        ("timeline: [{at: soon}]", "'timeline.0.at': Input should be a valid number"),
        ("timeline: [{state: ready, exit_code: 1}]", "'exit_code' belongs to 'state: crashed'."),
        ("faults: [explode]", "'explode' is no fault"),
        ("answers: [{}]", "an answer needs 'text', "),
        ("answers: [{file: nowhere.txt}]", "nowhere.txt."),
        ("tmeline: []", "Unknown field 'tmeline'; there are timeline, "),
        ("timeline: [", "scenario.yaml:2: not valid YAML: "),
        ("just a line", "scenario.yaml: a scenario is a mapping, "),
    ],
)
def test_a_bad_scenario_is_refused_with_file_and_field(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadRule) as caught:
        load(written(tmp_path, text + "\n"))
    assert "scenario.yaml" in str(caught.value)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"state": "ready", "exit_code": 1}, "'exit_code' belongs to the state 'crashed'."),
        ({"state": "crashed", "exit_code": 256}, "'exit_code' must be a whole number from 0 to 255; got 256."),
        ({"state": "waking", "wake_seconds": None}, "'wake_seconds' must be a number of seconds, 0 or more."),
    ],
)
async def test_a_bad_exit_code_is_refused_with_a_sentence(body: Any, sentence: str) -> None:
    async with MockLlamaServer() as mock:
        assert await control(mock, "PUT", "state", body) == (400, {"error": sentence})


async def start(*arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    """A mock process, and the URL of its control port."""
    command = (sys.executable, "-m", "mockserver", "--port", "0", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    url = ""
    while b"server is listening" not in (line := await process.stdout.readline()):
        assert line
        if b"control is listening" in line:
            url = line.split()[-1].decode()
    return process, url


async def test_a_crash_with_an_exit_code_really_ends_the_process() -> None:
    process, url = await start()
    answer = await ask(url, "PUT", "/__mock__/state", {"state": "crashed", "exit_code": 139})
    assert answer.json()["state"] == "crashed"
    assert await process.wait() == 139


@pytest.mark.slow
async def test_a_scenario_on_the_command_line_ends_its_process(tmp_path: Path) -> None:
    path = written(tmp_path, "timeline: [{at: 5, state: crashed, exit_code: 3}]")
    process, url = await start("--scenario", path, "--clock", "virtual", "--fault", "503 times=1")
    assert len((await ask(url, "GET", "/__mock__/faults")).json()["faults"]) == 1
    await ask(url, "POST", "/__mock__/clock", {"advance_seconds": 5})
    assert await process.wait() == 3


@pytest.mark.slow
async def test_a_bad_fault_on_the_command_line_is_one_sentence() -> None:
    command = (sys.executable, "-m", "mockserver", "--port", "0", "--fault", "explode")
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert (process.returncode, said.count(b"\n")) == (1, 1)
    assert said.startswith(b"Error: 'explode' is no fault")


def test_a_mock_in_a_thread_has_a_clock_to_advance() -> None:
    with MockLlamaServer(clock="virtual") as mock:
        mock.play([{"state": "paused"}, {"at": 60, "state": "ready"}])
        mock.advance(59)
        assert mock.state == "paused"
        mock.advance(1)
        assert mock.state == "ready"
        mock.stop_playing()
