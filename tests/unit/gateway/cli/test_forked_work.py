"""What is worked out in a process of its own, and what comes of it where that ends early or cannot be had."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.forked_work import ForkedWork
from gateway.config.document import SourceError
from gateway.registry.file_content import Configuration
from gateway.registry.start_configuration import read_configuration

_TWO_ERRORS = """\
accounts: {acme: {keys: [{name: laptop, key: short}]}}
deployments: {demo: {account: other, upstream: "http://127.0.0.1:1"}}
"""


def _who() -> int:
    return os.getpid()


@pytest.fixture
def configuration(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "gateway.yaml"
        path.touch(0o600)
        path.write_text(text)
        return path

    return write


def test_another_process_does_it() -> None:
    assert ForkedWork(_who).result() not in {os.getpid(), os.getppid()}


def test_a_configuration_arrives_whole(configuration: Callable[[str], Path]) -> None:
    keys = ", ".join(
        f"{{name: k{number}, key: gw_key_number_{number}, limits: {{tokens_per_day: 9}}}}" for number in range(999)
    )
    path = configuration(f"server: {{port: 81, admin: {{port: 82}}}}\naccounts: {{acme: {{keys: [{keys}]}}}}\n")
    here = read_configuration(path)
    assert len(here.file.content.keys if here.file else ()) == 999
    assert ForkedWork[Configuration](lambda: read_configuration(path)).result() == here


def test_every_error_arrives(configuration: Callable[[str], Path]) -> None:
    path = configuration(_TWO_ERRORS)
    with pytest.raises(SourceError) as here:
        read_configuration(path)
    with pytest.raises(SourceError) as raised:
        ForkedWork(lambda: read_configuration(path)).result()
    assert raised.value.lines == here.value.lines
    assert len(here.value.lines) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_done_here_if_the_process_is_killed(number: signal.Signals) -> None:
    here = os.getpid()

    def killed_elsewhere() -> int:
        if os.getpid() != here:
            os.kill(os.getpid(), number)
        return os.getpid()

    assert ForkedWork(killed_elsewhere).result() == here


def test_it_is_done_here_if_no_process_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", none_left)
    assert ForkedWork(_who).result() == os.getpid()


def test_what_goes_wrong_in_it_is_seen_here(capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ForkedWork(broken).result()
    assert capfd.readouterr() == ("", "")
