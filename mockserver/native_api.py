"""llama-server's own endpoints that belong to no other API."""

from aiohttp import web

from mockserver.answering import json_answer

_CORS = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "*",
}


async def health(_request: web.Request) -> web.Response:
    """`GET /health`."""
    return json_answer({"status": "ok"})


def preflight() -> web.Response:
    """The answer to every OPTIONS request, whatever the path, state or key."""
    return web.Response(headers={**_CORS, "Content-Type": "text/html"})
