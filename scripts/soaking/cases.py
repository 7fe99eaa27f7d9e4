"""Clients of every kind, what each of them does, and what it must see. A case that sees anything else raises Wrong."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from scripts.soaking.client import Between, Client, Malformed, Outcome
from scripts.soaking.plays import BROKEN, UNREACHABLE, Play

GOOD, FLAPPING, FOREIGN, DEAD = "good", "flapping", "foreign", "dead"  # deployments; the last has nobody behind it
_POOL = 64

_BAD_KEY = (401, "authentication_error", "Invalid API key.")
_NOT_FOUND = (404, "not_found_error", "No deployment found for this endpoint.")
_UNREACHABLE = (
    502,
    "api_error",
    "The model endpoint is unreachable right now. It may be restarting — try again in a moment.",
)
_PAUSED = (503, "overloaded_error", "Endpoint is not ready (status: paused). It may still be deploying or paused.")
_DEPLOYING = (503, _PAUSED[1], _PAUSED[2].replace("paused)", "deploying)"))
_CUT = b'data: {"error":{"type":"api_error","message":"The model endpoint broke off in the middle of its answer."}}\n\n'


class Wrong(Exception):
    """A client saw something that it must not."""


@dataclass
class Site:
    """Where the clients go. `random` decides all that is left to chance, so that a seed repeats it."""

    port: int
    key: str
    random: random.Random
    idle: list[Client] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)  # the request ids of all who stayed to the end
    _number: int = 0

    def play(self, name: str, size: int = 200, events: int = 5, pause: float = 0.0) -> Play:
        """A play with a nonce of its own."""
        self._number += 1
        return Play(name, f"soak-{self._number}-{self.random.getrandbits(48):x}", size, events, pause)

    def head(
        self, play: Play, *lines: str, deployment: str = GOOD, version: str = "1.1", key: str | None = ""
    ) -> bytes:
        """A request's head; `key` is the good one unless another, or None, is given."""
        key = self.key if key == "" else key
        first = f"POST /api/gguf/{deployment}{play.path} HTTP/{version}"
        fixed = ("Host: soak.test", "Content-Type: application/json", f"x-request-id: {play.nonce}")
        proof = () if key is None else (f"Authorization: Bearer {key}",)
        return "\r\n".join((first, *fixed, *proof, *lines)).encode() + b"\r\n\r\n"

    def whole(
        self, play: Play, *lines: str, deployment: str = GOOD, key: str | None = "", version: str = "1.1"
    ) -> bytes:
        """A whole request with its length."""
        body = play.request()
        head = self.head(play, *lines, f"Content-Length: {len(body)}", deployment=deployment, key=key, version=version)
        return head + body

    async def client(self) -> Client:
        """A connection: one that was used before, or a new one."""
        if self.idle and self.random.random() < 0.9:
            return self.idle.pop(self.random.randrange(len(self.idle)))
        return await Client.connect(self.port)

    async def give_back(self, client: Client, outcome: Outcome) -> None:
        """Keep a connection for the next client, or close it as the answer said."""
        if outcome.closes or len(self.idle) >= _POOL:
            left = await client.close()
            if left:
                raise Wrong(f"more bytes after the answer: {left[:100]!r}")
        else:
            self.idle.append(client)

    def see(self, play: Play, outcome: Outcome) -> Outcome:
        """Check what is true of every answer."""
        if outcome.headers.get("x-request-id") != play.nonce:
            raise Wrong(f"{play.name}: the answer of another request, {outcome.headers.get('x-request-id')}")
        self.answered.add(play.nonce)
        return outcome


async def _ask(
    site: Site, play: Play, *pieces: bytes, client: Client | None = None, between: Between | None = None
) -> Outcome:
    """Send a request over `client`, or one of the site's, and receive its answer. Raises Wrong if that is none."""
    client = client or await site.client()
    await client.send(*pieces)
    try:
        outcome = site.see(play, await client.receive(between))
        await site.give_back(client, outcome)
    except Malformed as error:
        client.reset()
        raise Wrong(f"{play.name}: {error}") from error
    except Wrong:
        client.reset()
        raise
    return outcome


def _must_be_whole(play: Play, outcome: Outcome) -> None:
    if (outcome.status, outcome.whole) != (play.status(), True) or outcome.body != play.body():
        raise Wrong(f"{play.name}: status {outcome.status}, whole: {outcome.whole}, {outcome.body[:200]!r}")


def _is_refusal(outcome: Outcome, status: int, kind: str, message: str) -> bool:
    refused = {"error": {"type": kind, "message": message}}
    return (
        outcome.status == status and outcome.whole and outcome.body == json.dumps(refused, ensure_ascii=False).encode()
    )


def _must_refuse(play: Play, outcome: Outcome, *wanted: tuple[int, str, str]) -> None:
    if not any(_is_refusal(outcome, *one) for one in wanted):
        raise Wrong(f"{play.name}: no refusal {wanted[0][0]}, but {outcome.status} {outcome.body[:200]!r}")


# --- good clients


async def plain(site: Site) -> None:
    """A JSON answer, over a connection that is kept."""
    play = site.play("plain", size=site.random.randrange(10, 3000))
    _must_be_whole(play, await _ask(site, play, site.whole(play)))


async def stream(site: Site) -> None:
    """A stream, to its end."""
    play = site.play("stream", events=site.random.randrange(1, 12), pause=0.001)
    _must_be_whole(play, await _ask(site, play, site.whole(play)))


async def once(site: Site) -> None:
    """`Connection: close`."""
    play = site.play(site.random.choice(("plain", "stream")))
    outcome = await _ask(site, play, site.whole(play, "Connection: close"))
    _must_be_whole(play, outcome)
    if not outcome.closes:
        raise Wrong("asked to close, and the connection stays")


async def old(site: Site) -> None:
    """HTTP/1.0: no chunks, and the end of a stream is the end of the connection."""
    play = site.play(site.random.choice(("plain", "stream")))
    client = await Client.connect(site.port)
    _must_be_whole(play, await _ask(site, play, site.whole(play, version="1.0"), client=client))


async def chunked_upload(site: Site) -> None:
    """A body of unknown length, in two chunks."""
    play = site.play("plain")
    body = play.request()
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:7], body[7:])]
    head = site.head(play, "Transfer-Encoding: chunked")
    _must_be_whole(play, await _ask(site, play, head, *chunks, b"0\r\n\r\n"))


async def trickled(site: Site) -> None:
    """A request that arrives in many pieces."""
    play = site.play("plain")
    data = site.whole(play)
    pieces = [data[start : start + 40] for start in range(0, len(data), 40)]
    _must_be_whole(play, await _ask(site, play, *pieces))


async def flapping(site: Site) -> None:
    """A deployment that is paused and resumed all the while."""
    play = site.play("plain")
    outcome = await _ask(site, play, site.whole(play, deployment=FLAPPING))
    if outcome.status == 503:
        _must_refuse(play, outcome, _PAUSED, _DEPLOYING)
    else:
        _must_be_whole(play, outcome)


# --- those that must be refused


async def bad_key(site: Site) -> None:
    """No key, a wrong one, one that another header contradicts."""
    play = site.play("plain")
    kind = site.random.randrange(3)
    lines = ("x-api-key: gw_something_else",) if kind == 0 else ()
    key = (None, "gw_0000000000000000000000000000000000")[kind - 1] if kind else ""
    _must_refuse(play, await _ask(site, play, site.whole(play, *lines, key=key)), _BAD_KEY)


async def not_theirs(site: Site) -> None:
    """A deployment of somebody else's, or of nobody's."""
    play = site.play("plain")
    deployment = site.random.choice((FOREIGN, "nobody"))
    _must_refuse(play, await _ask(site, play, site.whole(play, deployment=deployment)), _NOT_FOUND)


# --- clients that leave


async def leaver(site: Site) -> None:
    """Leaves at any moment: in its request, before an answer, within one; with a FIN or a RST. It is owed nothing."""
    play = site.play(site.random.choice(("plain", "stream", "late")), events=20, pause=0.01)
    data = site.whole(play)
    client = await Client.connect(site.port)
    moment = site.random.randrange(4)
    await client.send(data[: site.random.randrange(1, len(data))] if moment == 0 else data)
    if moment >= 2:
        await client.read_some()
    elif moment == 1:
        await asyncio.sleep(site.random.random() * 0.02)
    if site.random.random() < 0.5:
        client.reset()
    else:
        await client.close()


# --- model servers that fail


async def unreachable(site: Site) -> None:
    """No answer that a client could be given."""
    play = site.play(site.random.choice(UNREACHABLE))
    _must_refuse(play, await _ask(site, play, site.whole(play)), _UNREACHABLE)


async def nobody_there(site: Site) -> None:
    """Nobody listens."""
    play = site.play("plain")
    _must_refuse(play, await _ask(site, play, site.whole(play, deployment=DEAD)), _UNREACHABLE)


async def own_error(site: Site) -> None:
    """A 500 of the model server's own, which passes as it is."""
    play = site.play("error")
    _must_be_whole(play, await _ask(site, play, site.whole(play)))


async def broken(site: Site) -> None:
    """An answer that breaks off: what came of it, its last words if it is a stream, and no proper end."""
    play = site.play(site.random.choice(BROKEN), events=6, pause=0.002)
    outcome = await _ask(site, play, site.whole(play))
    if play.name == "cut_reset" and outcome.status == 502:
        _must_refuse(play, outcome, _UNREACHABLE)  # a reset takes away what the gateway had not read yet
        return
    came = outcome.body
    if play.name != "short":
        if not came.endswith(_CUT):
            raise Wrong(f"{play.name}: the stream does not say that it broke off: {came[-200:]!r}")
        came = came.removesuffix(_CUT)
    if outcome.whole or outcome.status != 200 or not play.body().startswith(came):
        raise Wrong(f"{play.name}: status {outcome.status}, whole: {outcome.whole}, {came[-200:]!r}")


# --- slow ones


async def late(site: Site) -> None:
    """A model server that takes its time."""
    play = site.play("late", pause=0.3)
    _must_be_whole(play, await _ask(site, play, site.whole(play)))


async def slow_stream(site: Site) -> None:
    """A stream with long silences."""
    play = site.play("stream", events=8, pause=0.05)
    _must_be_whole(play, await _ask(site, play, site.whole(play)))


async def slow_reader(site: Site) -> None:
    """Reads a long answer a little at a time."""
    play = site.play("plain", size=site.random.randrange(300_000, 1_500_000))
    client = await Client.connect(site.port, receive_buffer=16 * 1024)
    data = site.whole(play, "Connection: close")
    _must_be_whole(play, await _ask(site, play, data, client=client, between=lambda: asyncio.sleep(0.02)))


Case = Callable[[Site], Awaitable[None]]

# How many in a hundred: 70 good, 10 with no right to an answer, 10 that leave, 5 met by a fault, 5 slow.
MIX: dict[Case, float] = {
    plain: 25,
    stream: 25,
    once: 8,
    old: 4,
    chunked_upload: 3,
    trickled: 2,
    flapping: 3,
    bad_key: 7,
    not_theirs: 3,
    leaver: 10,
    unreachable: 2,
    nobody_there: 0.5,
    own_error: 1,
    broken: 1.5,
    late: 2,
    slow_stream: 1,
    slow_reader: 2,
}


async def run_any(site: Site) -> Case:
    """Run a case of the mix, chosen by chance; which it was. Raises Wrong."""
    (case,) = site.random.choices(tuple(MIX), weights=tuple(MIX.values()))
    try:
        await case(site)
    except TimeoutError as error:
        raise Wrong(f"{case.__name__}: no answer for a minute") from error
    except (Malformed, OSError) as error:
        raise Wrong(f"{case.__name__}: {error!r}") from error
    return case
