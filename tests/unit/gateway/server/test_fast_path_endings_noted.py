"""What follows the answers of one turn of the event loop: each for itself."""

import logging
from typing import Any, cast

import pytest

from gateway.config.server_settings import Server
from gateway.core.exchange import Exchange
from gateway.proxy.write_coalescing import WriteCoalescer
from gateway.server.app import create_app
from gateway.server.fast_path.fast_path import FastPath
from tests.harness.pages.status_pages import ToldRegistry


async def test_a_fault_behind_one_answer_loses_no_other(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app = create_app(Server(port=0), ToldRegistry())
    fast_path = FastPath(app, WriteCoalescer(), proxies=True)
    spoilt, sound = Exchange("spoilt"), Exchange("sound")
    spoilt.excerpt = cast(Any, "no excerpt")
    fast_path._ended = [spoilt, sound]
    fast_path._complete()
    assert [line.__dict__["request"]["id"] for line in caplog.records if "request" in line.__dict__] == ["sound"]
    (fault,) = [line for line in caplog.records if line.levelno >= logging.ERROR]
    assert fault.exc_info is not None
