"""Handlers whose modules are imported when somebody first asks: a start loads nothing that only a page needs."""

import asyncio
from importlib import import_module

from aiohttp import web
from aiohttp.typedefs import Handler


def loaded_when_asked(module: str, function: str) -> Handler:
    """A handler that is this function. A thread imports its module when it is first called."""
    loaded: Handler | None = None

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal loaded
        if loaded is None:
            loaded = getattr(await asyncio.to_thread(import_module, module), function)
        return await loaded(request)

    return handler
