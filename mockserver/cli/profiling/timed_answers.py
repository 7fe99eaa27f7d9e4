"""Answers of a llama-server, with the times of what came: by its own account, and as its client saw it."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp

_TOKENS = range(300, 3000)  # that every model has, as far as known
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120)


class MeasuringError(Exception):
    """A server cannot be measured. The message is one sentence that says why."""


@dataclass(slots=True)
class TimedAnswer:
    """One answer. `head` is when its status came, `pieces` when each event with text did, in seconds since the request.

    `prompt_seconds` and `token_seconds` are the server's own account.
    """

    head: float = 0.0
    pieces: list[float] = field(default_factory=list)
    prompt_seconds: float = 0.0
    token_seconds: float = 0.0

    @property
    def first_token(self) -> float:
        """Seconds until the first text."""
        return self.pieces[0] if self.pieces else self.head


class TimedClient:
    """Asks one server for answers to prompts that nobody has asked it before. Raises MeasuringError."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url.rstrip("/"), session
        self._dice = random.Random(0)  # noqa: S311  the same prompts each time

    async def props(self) -> dict[str, Any]:
        """What the server says of itself."""
        try:
            async with self._session.get(f"{self._url}/props") as response:
                await _check(response)
                props: dict[str, Any] = await response.json()
                return props
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise MeasuringError(f"{self._url} cannot be measured: {error or type(error).__name__}.") from error

    async def answer(self, prompt_tokens: int, tokens: int) -> TimedAnswer:
        """An answer of so many tokens to a prompt of so many."""
        prompt = self._dice.choices(_TOKENS, k=prompt_tokens)
        body = {"prompt": prompt, "n_predict": tokens, "ignore_eos": True, "cache_prompt": False, "stream": True}
        started, answer = time.perf_counter(), TimedAnswer()
        try:
            async with self._session.post(f"{self._url}/completion", json=body) as response:
                await _check(response)
                answer.head = time.perf_counter() - started
                async for line in response.content:
                    if line.startswith(b"data: {"):
                        _take_in(answer, json.loads(line[6:]), time.perf_counter() - started)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise MeasuringError(f"{self._url} broke an answer off: {error or type(error).__name__}.") from error
        return answer

    async def together(self, clients: int, prompt_tokens: int, tokens: int) -> Sequence[TimedAnswer]:
        """So many answers at once."""
        return await asyncio.gather(*(self.answer(prompt_tokens, tokens) for _ in range(clients)))


@asynccontextmanager
async def timed_client(url: str, key: str = "") -> AsyncIterator[TimedClient]:
    """A client that makes a connection for each request: a kept one may be closed just then."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT, connector=connector) as session:
        yield TimedClient(url, session)


def _take_in(answer: TimedAnswer, event: dict[str, Any], now: float) -> None:
    if event.get("content"):
        answer.pieces.append(now)
    if timings := event.get("timings"):
        answer.prompt_seconds = timings["prompt_ms"] / 1000
        answer.token_seconds = timings["predicted_ms"] / 1000 / max(timings["predicted_n"] - 1, 1)


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status != HTTPStatus.OK:
        said = (await response.text())[:200]
        raise MeasuringError(f"{response.url} answered {response.status}: {said}")
