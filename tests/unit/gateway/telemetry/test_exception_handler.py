"""Errors that nobody awaits: some are told once, some never, and all others as asyncio tells them."""

import asyncio
import errno
import ssl
from typing import Any

import pytest

from gateway.telemetry.exception_handler import ExceptionHandler


def _fail_unawaited(error: Exception) -> None:
    """As uvloop does with the handshake of a connection that was given up while it was being opened."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(ExceptionHandler())
    loop.create_future().set_exception(error)


async def test_a_connection_that_fails_after_it_was_given_up_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    _fail_unawaited(ssl.SSLCertVerificationError("certificate verify failed"))
    assert caplog.records == []


async def test_anything_else_that_nobody_awaits_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    _fail_unawaited(ValueError("a fault of ours"))
    assert [record.getMessage().partition("\n")[0] for record in caplog.records] == [
        "Future exception was never retrieved"
    ]


async def test_that_no_client_can_be_accepted_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    loop, tell = asyncio.get_running_loop(), ExceptionHandler()
    accepting: dict[str, Any] = {"message": "socket.accept() out of system resource"}
    for _ in range(3):
        tell(loop, {**accepting, "exception": OSError(errno.EMFILE, "Too many open files")})
    assert [record.getMessage() for record in caplog.records] == ["cannot accept new connections: Too many open files"]
