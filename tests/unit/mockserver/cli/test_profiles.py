"""Profiles: measured of a server, played by another one, which is then as fast."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mockserver import MockLlamaServer
from mockserver.cli.profiling.command import document
from mockserver.cli.profiling.command import profile as profile_command
from mockserver.cli.profiling.measuring import Measured, measure
from mockserver.cli.profiling.timed_answers import MeasuringError, TimedClient, timed_client
from mockserver.core.options import Options
from mockserver.engine.scheduling.decode_time import DecodeTime
from mockserver.engine.scheduling.speed_profile import BadProfile, Curve, load, shipped

MEASURED = Measured(
    slots=2,
    request_seconds=0.01,
    answers={1: 0.02, 2: 0.03},
    answers_std_dev=0.1,
    prompts={1: 0.02, 100: 0.2},
    prompts_std_dev=0.05,
    context_seconds=0.00001,
)
WRONG = [
    ("[]", "it is no mapping"),
    ("slots: 2", "'answers'"),
    ("slots: 2\nanswers: {seconds: {0: 1}}\nprompts: {seconds: {1: 1}}", "positive, by whole numbers from 1 on"),
    ("slots: 2\nanswers: {seconds: {1: -1}}\nprompts: {seconds: {1: 1}}", "positive, by whole numbers from 1 on"),
    ("slots: [", "while parsing"),
]


@pytest.mark.parametrize(("count", "seconds"), [(1, 1.0), (2, 1.0), (3, 1.5), (4, 2.0), (8, 8.0), (9, 9.5)])
def test_between_what_was_measured_there_are_straight_lines(count: int, seconds: float) -> None:
    assert Curve((2, 4, 8), (1.0, 2.0, 8.0))(count) == pytest.approx(seconds)


def test_a_profile_that_was_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text(document(MEASURED, "a test", {}))
    profile = load(str(tmp_path / "here.yaml"))
    assert (profile.slots, profile.request_seconds) == (2, 0.01)
    assert (profile.answers(2), profile.prompts(100)) == (0.03, 0.2)
    assert (profile.answers_std_dev, profile.prompts_std_dev) == (0.1, 0.05)
    assert profile.context_seconds == pytest.approx(0.00001)


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_no_profile_is_told_in_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(BadProfile, match=message):
        load(str(tmp_path / "wrong.yaml"))


def test_a_profile_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(BadProfile, match=f"those in the package are {', '.join(shipped())}"):
        load("no-such-profile")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "nowhere/here.yaml"), "Invalid value for '--to': Directory 'nowhere' does not exist."),
        (("--to", "here.yaml", "--key-file", "none"), "none: No such file or directory."),
    ],
)
def test_what_cannot_be_written_or_read_is_told_before_measuring(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with MockLlamaServer() as mock:
        result = CliRunner().invoke(profile_command, ["--upstream", mock.url, *arguments])
        assert not mock.requests
    assert result.exit_code
    assert message in result.output


@pytest.mark.parametrize("name", shipped())
def test_profiles_in_the_package_say_where_they_are_from_and_can_be_played(name: str) -> None:
    profile = load(name)
    of_one, of_all = (DecodeTime(Options(), profile).seconds(count, []) for count in (1, profile.slots))
    assert 0 < of_one < of_all < profile.slots * of_one * 1.2


def test_what_is_given_beside_a_profile_counts_more() -> None:
    decode_time = DecodeTime(Options(tokens_per_second=10), load(shipped()[0]))
    assert decode_time.seconds(1, []) == pytest.approx(0.1)


def is_at_least(seconds: float, wanted: float) -> bool:
    """Whether something took its time: less only as far as the dice go, more as far as a busy machine does."""
    return 0.8 * wanted < seconds < 100 * wanted


async def measured_undisturbed(client: TimedClient, is_right: Callable[[Measured], bool]) -> tuple[Measured, list[str]]:
    """The first of five measurements that is right, else the last; and what was said of it.

    Tokens that come late on a busy machine come closer together, and look faster than they are.
    """
    props = await client.props()
    for _ in range(5):
        said = list[str]()
        measured = await measure(client, props, said.append)
        if is_right(measured):
            break
    return measured, said


@pytest.mark.slow
async def test_a_server_is_measured_as_fast_as_it_is() -> None:
    def is_right(measured: Measured) -> bool:
        one, two, read = measured.answers[1], measured.answers[2], measured.prompts[256]
        return is_at_least(one, 0.01) and is_at_least(two, 0.015) and is_at_least(read, 0.064)

    given: dict[str, Any] = {"tokens_per_second": 100, "prompt_tokens_per_second": 4000, "load_factor": 1.5}
    async with MockLlamaServer(slots=2, context=300, **given) as mock, timed_client(mock.url) as client:
        measured, said = await measured_undisturbed(client, is_right)
    assert is_right(measured), measured
    assert measured.slots == 2
    assert list(measured.prompts) == [1, 16, 64, 256]
    assert said[-2].startswith("2 answers at once: ")


@pytest.mark.slow
async def test_a_longer_context_takes_longer_as_it_was_measured(tmp_path: Path) -> None:
    def is_right(measured: Measured) -> bool:
        return is_at_least(measured.context_seconds, 0.00004)

    slow = replace(
        MEASURED, slots=1, answers={1: 0.001}, answers_std_dev=0, prompts={1: 0.001}, context_seconds=0.00004
    )
    (tmp_path / "slow.yaml").write_text(document(slow, "a test", {}))
    async with MockLlamaServer(profile=str(tmp_path / "slow.yaml"), context=350) as mock, timed_client(mock.url) as one:
        answer = await one.answer(251, 20)
        assert answer.pieces[-1] > 251 * 0.001 + 19 * (0.001 + 251 * 0.00004)
        measured, _ = await measured_undisturbed(one, is_right)
    assert is_right(measured), measured


async def test_a_mock_is_as_fast_as_its_profile(tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text(document(MEASURED, "a test", {}))
    async with MockLlamaServer(profile=str(tmp_path / "here.yaml")) as mock, timed_client(mock.url) as client:
        assert mock.options.slots == 2
        one, *two = [await client.answer(100, 10), *await client.together(2, 50, 10)]
    assert is_at_least(one.first_token, 0.21)
    assert is_at_least(one.pieces[-1], 0.21 + 9 * 0.02)  # tokens that come late come closer together
    assert all(is_at_least(answer.pieces[-1], 9 * 0.03) for answer in two)


async def test_a_server_that_cannot_be_measured_is_one_sentence() -> None:
    async with MockLlamaServer(state="deploying") as mock, timed_client(mock.url) as client:
        with pytest.raises(MeasuringError, match="answered 503"):
            await client.props()
