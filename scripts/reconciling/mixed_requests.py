"""What is asked: both protocols and llama-server's own endpoints, streams or not, prompts that are cached or not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

_WORDS = [
    "the",
    "sea",
    "a",
    "ship",
    "with",
    "old",
    "maps",
    "Zoë",
    "日本",
    "and",
    "one",
    "lamp",
    "that",
    "burns",
    "all",
    "night",
    "🙂",
    "over",
    "cold",
    "water",
]
_SYSTEM = "You are a patient teacher who explains how ships find their way. " * 4  # alike in many: it is cached


@dataclass(frozen=True)
class Ask:
    """One request. `events` is how many its client reads before it leaves; None for one that stays."""

    path: str
    body: dict[str, Any]
    events: int | None = None

    @property
    def data(self) -> bytes:
        """Its body on the wire."""
        return json.dumps(self.body).encode()


def finishing(number: int, random: Random, paths: tuple[str, ...]) -> Iterator[Ask]:
    """Requests whose clients read to the end."""
    for _ in range(number):
        path = random.choice(paths)
        yield Ask(path, _body(path, random, random.choice((False, True)), random.randint(1, 24)))


def leaving(number: int, random: Random, paths: tuple[str, ...]) -> Iterator[Ask]:
    """Streams whose clients leave in the middle."""
    for _ in range(number):
        path = random.choice(paths)
        yield Ask(path, _body(path, random, True, 400), random.randint(8, 120))


def _body(path: str, random: Random, stream: bool, most: int) -> dict[str, Any]:
    text = " ".join(random.choices(_WORDS, k=random.randint(1, 60)))
    fields: dict[str, Any] = {"stream": stream, "seed": random.randrange(1000), "ignore_eos": most > 100}
    if path == "/v1/embeddings":
        return {"input": [text, text[:20] + "x"] if stream else text}
    if path == "/v1/rerank":
        return {"query": text, "documents": [text[:40], "a ship"]}
    if path == "/tokenize":
        return {"content": text}
    if path in {"/completion", "/v1/completions"}:
        return {**fields, "prompt": text, "n_predict": most, "max_tokens": most}
    if path == "/v1/responses":
        return {**fields, "instructions": _SYSTEM, "input": text, "max_output_tokens": most}
    messages = [{"role": "user", "content": text}]
    if path == "/v1/messages":
        return {**fields, "system": _SYSTEM, "messages": messages, "max_tokens": most}
    if stream and random.random() < 0.5:
        fields["stream_options"] = {"include_usage": True}
    return {**fields, "messages": [{"role": "system", "content": _SYSTEM}, *messages], "max_tokens": most}
