"""The requests of a seed, for each mode. The same seed makes the same requests, on every machine."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from scripts.drifting.exchange import Request
from scripts.drifting.generating.bodies import BODIES
from scripts.drifting.generating.fields import FIELDS, ODD
from scripts.drifting.generating.malformed import bad_body, odd_header, odd_route, odd_wire, plain_get
from scripts.drifting.generating.mutation import mutated

_WRONG = 0.5  # the share of bodies with one thing wrong
_ODD_FIELD = 0.4  # of those: a field whose value is odd; otherwise anything anywhere
_KEYS = (
    (),
    (("Authorization", "Bearer secret"),),
    (("X-Api-Key", "secret"),),
    (("Authorization", "Bearer wrong"),),
    (("Authorization", "secret"),),
    (("Authorization", "bearer secret"),),
    (("Authorization", "Bearer  secret"),),
    (("Authorization", "Basic secret"),),
    (("Authorization", ""), ("X-Api-Key", "secret")),
    (("Authorization", "Bearer wrong"), ("X-Api-Key", "secret")),
)
_WITHOUT_JSON: dict[str, Callable[[Random], Request]] = {
    "get": plain_get,
    "bad body": bad_body,
    "route": odd_route,
    "wire": odd_wire,
}
# How many of each family, in each mode.
_MIX = {
    "ready": {
        "chat": 24,
        "chat tools": 8,
        "completion": 9,
        "native completion": 9,
        "responses": 9,
        "messages": 9,
        "messages tools": 3,
        "infill": 2,
        "count messages": 2,
        "count chat": 2,
        "count responses": 1,
        "tokenize": 4,
        "detokenize": 2,
        "template": 4,
        "control": 1,
        "streams": 1,
        "lora": 1,
        "embeddings": 1,
        "rerank": 1,
        "get": 4,
        "bad body": 8,
        "route": 6,
        "wire": 2,
    },
    "embedding": {"embeddings": 12, "native embedding": 5, "chat": 1, "tokenize": 1, "get": 1, "bad body": 1},
    "reranking": {"rerank": 16, "embeddings": 2, "native embedding": 1, "get": 1, "bad body": 1},
    "api_key": {"chat": 3, "messages": 2, "get": 5, "route": 4, "bad body": 3, "embeddings": 1},
}


def requests(seed: int, count: int, mode: str) -> Iterator[Request]:
    """`count` requests for a server in a mode."""
    random = Random(f"{seed} {mode}")  # noqa: S311  chance, no secret
    families, weights = zip(*_MIX[mode].items(), strict=True)
    for _ in range(count):
        request = _request(random.choices(families, weights)[0], random)
        if mode == "api_key" and not request.raw:
            request = _with_headers(request, random.choice(_KEYS))
        yield request


def _request(family: str, random: Random) -> Request:
    without = _WITHOUT_JSON.get(family)
    if without is not None:
        return without(random)
    paths, template = BODIES[family]
    body = _body(family, template, random)
    headers = (("Content-Type", "application/json"),)
    request = Request(family, "POST", random.choice(paths), headers, json.dumps(body).encode())
    return _with_headers(request, odd_header(random)) if random.random() < 0.03 else request


def _body(family: str, template: dict[str, Any], random: Random) -> Any:
    body = {name: random.choice(value) if isinstance(value, tuple) else value for name, value in template.items()}
    fields = FIELDS.get(family, {})
    for name in random.sample(sorted(fields), min(len(fields), random.choice((0, 0, 1, 1, 2, 3)))):
        body[name] = random.choice(fields[name])
    if random.random() >= _WRONG:
        return body
    if fields and random.random() < _ODD_FIELD:
        body[random.choice(sorted(fields))] = random.choice(ODD)
        return body
    return mutated(body, random)


def _with_headers(request: Request, headers: tuple[tuple[str, str], ...]) -> Request:
    return dataclasses.replace(request, headers=(*request.headers, *headers))
