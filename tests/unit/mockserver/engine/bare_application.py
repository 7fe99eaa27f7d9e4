"""An aiohttp application that answers a chat completion with constants: what answers cost without a mock."""

import asyncio
import json
import sys

from aiohttp import web

_TOKENS = 1000
_CHUNK = {"choices": [{"delta": {"content": "word"}, "finish_reason": None, "index": 0}], "id": "x" * 40}


async def _answer(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    if not body.get("stream"):
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": "word " * 16}}]})
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(_TOKENS):
        await response.write(b"data: " + json.dumps(_CHUNK).encode() + b"\n\n")
    await response.write_eof()
    return response


async def _serve() -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    sys.stdout.write(f"server is listening on http://{host}:{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
