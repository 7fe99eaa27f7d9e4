"""The soak in miniature, and that it would notice."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from scripts import soak
from scripts.soaking import cases, demands
from scripts.soaking.cases import Site, Wrong
from scripts.soaking.plays import Play

REFUSAL = b'{"error": {"type": "authentication_error", "message": "Invalid API key."}}'


@pytest.mark.tools
def test_a_thousand_mixed_requests_leave_nothing_behind() -> None:
    said: list[str] = []
    assert soak.soak(1000, 90, seed=1, say=said.append) == []
    assert {name for name in (case.__name__ for case in cases.MIX) if name not in " ".join(said)} == set()


# --- a gateway that is not one: whatever it says wrong is noticed


def answer(play: Play, body: bytes | None = None, status: int = 200, *lines: str, length: int | None = None) -> bytes:
    """An answer to a play, the right one if nothing else is said."""
    body = play.body() if body is None else body
    fixed = (f"HTTP/1.1 {status} Said", f"x-request-id: {play.nonce}", "Connection: close", *lines)
    if length is None and not any("chunked" in line for line in lines):
        length = len(body)
    sized = () if length is None else (f"Content-Length: {length}",)
    return "\r\n".join((*fixed, *sized)).encode() + b"\r\n\r\n" + body


def chunked(play: Play, *pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A stream as an answer."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return answer(play, body + end, 200, "Transfer-Encoding: chunked")


async def meet(case: Callable[[Site], Awaitable[None]], said: Callable[[Play], bytes]) -> None:
    """Run a case against a server that says so and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = next(int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:"))
        writer.write(said(Play.parse(await reader.readexactly(size))))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        site = Site(server.sockets[0].getsockname()[1], "gw_key", random.Random(1))
        await case(site)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (cases.plain, answer),
        (cases.stream, lambda play: chunked(play, play.body())),
        (cases.bad_key, lambda play: answer(play, REFUSAL, 401)),
        (cases.own_error, lambda play: answer(play, None, 500)),
    ],
    ids=["plain", "stream", "bad_key", "own_error"],
)
async def test_what_is_right_is_accepted(
    case: Callable[[Site], Awaitable[None]], said: Callable[[Play], bytes]
) -> None:
    await meet(case, said)


WRONG: dict[str, tuple[Callable[[Site], Awaitable[None]], Callable[[Play], bytes]]] = {
    "another one's answer": (cases.plain, lambda play: answer(Play("plain", "soak-0-0", play.size))),
    "another one's body": (cases.plain, lambda play: answer(play, Play("plain", "soak-0-0", play.size).body())),
    "a byte altered": (cases.plain, lambda play: answer(play, play.body().replace(b"d", b"D", 1))),
    "a byte missing": (cases.plain, lambda play: answer(play, play.body()[:-1], length=len(play.body()))),
    "a byte too many": (cases.plain, lambda play: answer(play) + b"x"),
    "two answers": (cases.plain, lambda play: answer(play) * 2),
    "no answer": (cases.plain, lambda play: b""),
    "no HTTP": (cases.plain, lambda play: b"hello\r\n\r\n"),
    "a header twice": (cases.plain, lambda play: answer(play, None, 200, "x-request-id: 2")),
    "let in without a good key": (cases.bad_key, answer),
    "a refusal in another shape": (cases.bad_key, lambda play: answer(play, b'{"error":"no"}', 401)),
    "a stream without its end": (cases.stream, lambda play: chunked(play, play.body(), end=b"")),
    "a stream in the wrong order": (cases.stream, lambda play: chunked(play, play.event(1), play.event(0))),
    "a broken stream that ends well": (cases.broken, lambda play: chunked(play, play.event(0), cases._CUT)),
    "a broken stream that says nothing": (cases.broken, lambda play: chunked(play, play.event(0), end=b"")),
    "an own error made up": (cases.own_error, lambda play: answer(play, None, 502)),
}


@pytest.mark.parametrize(("case", "said"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_noticed(case: Callable[[Site], Awaitable[None]], said: Callable[[Play], bytes]) -> None:
    async def one_of_them(site: Site) -> None:
        site.random.seed(3)  # of the broken ones, a stream
        await case(site)

    with pytest.raises(Wrong):
        await meet(one_of_them, said)


# --- what is left


def test_memory_that_grows_is_noticed_and_a_start_that_grows_is_not() -> None:
    def samples(per_request: float) -> list[demands.Sample]:
        begun = [(done, 60 * demands.MIB + done * 1000) for done in range(0, 4000, 100)]
        return begun + [(done, 64 * demands.MIB + int(done * per_request)) for done in range(4000, 60_001, 100)]

    assert list(demands.of_memory(samples(10))) == []
    (sentence,) = demands.of_memory(samples(100))
    assert "grows by 1.91 MiB for 20,000 requests" in sentence


def line(nonce: str) -> str:
    return json.dumps({"message": "request", "id": nonce}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("lines", "unfit"),
    [
        ([line("a"), line("b"), line("left")], 0),
        ([line("a")], 1),
        ([line("a"), line("b"), line("b")], 1),
        ([line("a"), line("b"), "Traceback (most recent call last):"], 1),
        ([line("a"), line("b"), '{"message":"Unclosed connection"}'], 1),
    ],
    ids=["fine", "a line missing", "a line twice", "a traceback", "a complaint"],
)
def test_each_answered_request_needs_one_line_and_no_line_may_complain(
    tmp_path: Path, lines: list[str], unfit: int
) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(lines))
    assert len(list(demands.of_the_log(log, {"a", "b"}))) == unfit
