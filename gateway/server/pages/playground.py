"""`/playground`: a chat with a deployment through the relay itself, with a key that lives as long as the page."""

import asyncio
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from gateway.core.endpoints import EndpointGroup
from gateway.core.secret_text import digest_of
from gateway.proxy.upstream.health.readiness import READINESS
from gateway.server.admission import REGISTRY
from gateway.server.handlers.dashboard import PAGE
from gateway.server.handlers.preflight import CORS
from gateway.server.handlers.viewer_base import base_url_of, reached_url
from gateway.server.pages.layout import HEADERS, POLICY, base_path, page, rendered, template
from gateway.server.pages.operations import do, read_form, text_of
from gateway.team.actor import Actor
from gateway.team.models.playground import NewPlaygroundKey, PlaygroundKey
from gateway.team.operation_error import OperationError

_PLAYGROUND = template("playground.html")

_IN_FORCE_SECONDS = 2.0  # within which a new key opens the relay of this process


class Choice(NamedTuple):
    """A deployment that can be chosen, and what it is now."""

    id: str
    readiness: str
    speaks_openai: bool
    speaks_anthropic: bool


@page
async def overview(request: web.Request, actor: Actor) -> web.Response:
    """The chat. Where the relay has another origin, which its policy then names, it is a document of its own."""
    actor.reach("playground.key")
    port, here = request.app[PAGE].clients_port, reached_url(request)
    relay = here if port is None else base_url_of(request, port)
    own, theirs = _origin(here), _origin(relay)
    is_apart = own != theirs
    if is_apart and "HX-Request" in request.headers:
        return web.Response(headers={**HEADERS, "HX-Redirect": base_path(request) + str(request.rel_url)})
    answer = rendered(
        request,
        _PLAYGROUND,
        actor,
        choices=_choices(request, actor),
        chosen=request.query.get("deployment", ""),
        relay=relay,
        is_apart=is_apart,
        refused_origin=own if is_apart and not request.app[CORS].allows(own) else "",
    )
    if is_apart:
        answer.headers[POLICY] = HEADERS[POLICY].replace("connect-src 'self'", f"connect-src 'self' {theirs}")
    return answer


@page
async def new_key(request: web.Request, actor: Actor) -> web.Response:
    """A key for a deployment, as JSON; answered when it opens the relay."""
    form = await request.post()
    try:
        asked = read_form(NewPlaygroundKey, {"deployment": text_of(form, "deployment")})
        made: PlaygroundKey = await do(request, actor, "playground.key", asked=asked)
    except OperationError as error:
        return _json({"error": {"message": error.message}}, status=404)
    await _in_force(request, made.key)
    return _json(made.model_dump(mode="json"), status=201)


@page
async def end_key(request: web.Request, actor: Actor) -> web.Response:
    """End a key: its page is left."""
    await do(request, actor, "playground.end", request.match_info["key"])
    return web.Response(status=204, headers=HEADERS)


def _choices(request: web.Request, actor: Actor) -> list[Choice]:
    known, readiness = request.app[REGISTRY].snapshot.deployments.values(), request.app[READINESS]
    return [
        Choice(
            one.id,
            readiness.status(one).value,
            EndpointGroup.OPENAI in one.endpoints,
            EndpointGroup.ANTHROPIC in one.endpoints,
        )
        for one in sorted(known, key=lambda one: one.id)
        if actor.sees_account("playground.key", one.account)
    ]


async def _in_force(request: web.Request, text: str) -> None:
    """Wait until the registry of this process knows a key; another process may take a little longer."""
    registry, digest, changed = request.app[REGISTRY], digest_of(text), asyncio.Event()
    registry.listeners.append(changed.set)
    try:
        async with asyncio.timeout(_IN_FORCE_SECONDS):
            while digest not in registry.snapshot.keys:
                changed.clear()
                await changed.wait()
    except TimeoutError:
        return  # the page tries again
    finally:
        registry.listeners.remove(changed.set)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _json(content: dict[str, object], status: int) -> web.Response:
    return web.json_response(content, status=status, headers={**HEADERS, "Cache-Control": "no-store"})
