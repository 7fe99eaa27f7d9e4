"""An answer that is cut in the moment in which it ends: what no socket would do twice."""

from typing import cast

import pytest

from gateway.answer import Answer
from gateway.connection import Connection, Head
from gateway.endpoints import Protocol
from gateway.exchange import Ending, Exchange
from gateway.reply import Reply

EVENT = b"data: 1\n\n"


class Wire:
    """Stands for the client's side: keeps what it is sent."""

    is_backed_up = False
    framed = True

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def start(self, early: bytes, *, complete: bool) -> None:
        self.sent.append(b"<head>" + early + (b"<end>" if complete else b""))

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def end(self) -> None:
        self.sent.append(b"<end>")

    def close(self) -> None:
        self.sent.append(b"<close>")

    abort = close


class Open(Connection):
    """A connection on which nothing happens."""

    def is_closing(self) -> bool:
        return True


@pytest.fixture
async def answer() -> Answer:
    answer = Answer(Exchange("id"), Open(), 600, 600)
    answer.head_received(Head(200, [], None, chunked=True, keep_alive=True))
    return answer


async def test_what_is_cut_is_not_ended_as_well(answer: Answer) -> None:
    wire = Wire()
    answer.pass_to(cast(Reply, wire))
    answer.body_received(EVENT)
    answer.cut()
    answer.ended()  # came in the same turn of the event loop
    assert await answer.done is Ending.SHUTDOWN
    answer.show_broken(cast(Reply, wire), Ending.SHUTDOWN, Protocol.OPENAI)
    answer.release()
    assert wire.sent[:2] == [b"<head>", EVENT]
    assert b"<end>" not in wire.sent
    assert wire.sent[-1] == b"<close>"


async def test_what_has_ended_is_not_cut_as_well(answer: Answer) -> None:
    wire = Wire()
    answer.pass_to(cast(Reply, wire))
    answer.body_received(EVENT)
    answer.ended()
    answer.cut()
    assert await answer.done is Ending.FINISHED
    answer.release()
    assert wire.sent == [b"<head>", EVENT, b"<end>"]
