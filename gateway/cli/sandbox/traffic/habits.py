"""What each of the team does all day: chats, a script at full speed, a broken client, somebody who leaves early.

Together they cost less than a tenth of a core, and leave a slot free for whoever looks on, most of the time.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

import aiohttp

Message = Mapping[str, str]
_SYSTEM: Message = {"role": "system", "content": "You are the assistant of a small workshop. Answer briefly."}
_ASKED = (
    "Which tyre pressure is right for a loaded cargo bike?",
    "Rewrite this politely: we ship when it is done.",
    "Explain what a mutex is to a carpenter.",
    "Give me three names for a coffee machine that never sleeps.",
    "And in one sentence?",
    "Thanks. What would you check first?",
)
_LONG_TEXT = (
    "Summarise the minutes of the meeting. " + "The board discussed the heating of the workshop at length. " * 12
)
_TURNS = 4  # of a conversation
_AT_ONCE = 6  # requests of the script: more than a model server has slots by default, so some of them wait
_ROUND = 18  # requests of one run of the script


class TrafficClient:
    """One key's way to the deployments. What goes wrong is a part of the play, and told by the gateway's own pages."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str, rng: random.Random) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self.rng = rng

    async def chat(
        self, deployment: str, messages: list[Message], tokens: int, *, stream: bool = True, leave_after: float = 0.0
    ) -> str:
        """The answer's text, as far as it was read; empty for an error."""
        body = {"messages": messages, "max_tokens": tokens, "stream": stream}
        try:
            async with asyncio.timeout(leave_after or None):
                return await self.send(deployment, "/v1/chat/completions", body)
        except TimeoutError:
            return ""

    async def send(self, deployment: str, path: str, body: object) -> str:
        """What comes back for a body, which may be none that a model server takes."""
        content: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        url = f"{self._url}/api/gguf/{deployment}{path}"
        try:
            async with self._session.post(url, headers=self._headers, **content) as answer:
                return (await answer.content.read()).decode(errors="replace") if answer.status < 400 else ""
        except (aiohttp.ClientError, ConnectionError):
            return ""

    async def rest(self, seconds: float) -> None:
        """Do something else for about as long."""
        await asyncio.sleep(self.rng.uniform(0.6, 1.4) * seconds)


async def chats(client: TrafficClient, deployments: list[str]) -> None:
    """Somebody at a keyboard: conversations that grow, so that most of what is read lies in the cache."""
    while True:
        talk: list[Message] = [_SYSTEM]
        for _ in range(client.rng.randint(1, _TURNS)):
            talk.append({"role": "user", "content": client.rng.choice(_ASKED)})
            said = await client.chat(deployments[0], talk, client.rng.randint(30, 120))
            talk.append({"role": "assistant", "content": said[:200] or "…"})
            await client.rest(6)
        await client.rest(15)


async def runs_a_script(client: TrafficClient, deployments: list[str]) -> None:
    """A script that sends all it has, as fast as it can, and then nothing for a while."""
    while True:
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(places: asyncio.Semaphore = places) -> None:
            async with places:
                message = {"role": "user", "content": f"{client.rng.randint(1, 999)}. {_LONG_TEXT}"}
                await client.chat(deployments[0], [message], 40, stream=False)

        await asyncio.gather(*(one() for _ in range(_ROUND)))
        await client.rest(40)


async def is_broken(client: TrafficClient, deployments: list[str]) -> None:
    """A client that somebody configured in a hurry."""
    mistakes: tuple[tuple[str, str, object], ...] = (
        (deployments[0], "/v1/chat/completions", b'{"messages": [{"role": "user"'),
        (deployments[0], "/v1/chat/completion", {"messages": []}),
        (deployments[-1], "/v1/chat/completions", {"messages": [_SYSTEM]}),
        ("demo-old", "/v1/chat/completions", {"messages": [_SYSTEM]}),
    )
    while True:
        await client.send(*client.rng.choice(mistakes))
        await client.rest(9)


async def leaves_early(client: TrafficClient, deployments: list[str]) -> None:
    """Somebody who asks for much, and has seen enough soon."""
    while True:
        question: Message = {"role": "user", "content": "Write a long story about a lighthouse."}
        place = client.rng.choice([deployments[0], deployments[0], deployments[-1]])
        await client.chat(place, [question], 400, leave_after=client.rng.uniform(1, 4))
        await client.rest(14)


Habit = Callable[[TrafficClient, list[str]], Awaitable[None]]
HABITS: Mapping[str, Habit] = MappingProxyType(
    {
        "ana's laptop": chats,
        "chat-ui": chats,
        "nightly-batch": runs_a_script,
        "phone": is_broken,
        "half-finished": leaves_early,
    }
)
