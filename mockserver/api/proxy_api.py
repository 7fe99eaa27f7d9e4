"""`/cors-proxy?url=`: fetches for the web UI what its page may not, with no header but those meant for it; `/tools`.

Mirrors tools/server/server-cors-proxy.h and tools/server/server.cpp (`res_403`).
"""

from aiohttp import ClientError, ClientSession, ClientTimeout, hdrs, web

from mockserver.api.send_results import SERVER_CONTEXT, json_response

_PREFIX = "x-llama-server-proxy-header-"
_TIMEOUT = ClientTimeout(total=30)
_DISABLED = {"error": {"message": "this feature is disabled", "type": "feature_disabled"}}


async def tools(_request: web.Request) -> web.Response:
    """`GET` and `POST /tools`: the mock runs no tools on the machine of the server."""
    return json_response(_DISABLED, 403)


async def proxy(request: web.Request) -> web.Response:
    """`GET` or `POST /cors-proxy`; 403 unless `--ui-mcp-proxy`."""
    if not request[SERVER_CONTEXT].options.ui_mcp_proxy:
        return json_response(_DISABLED, 403)
    wanted = {
        name[len(_PREFIX) :]: value for name, value in request.headers.items() if name.lower().startswith(_PREFIX)
    }
    body = await request.read() or None
    if body and hdrs.CONTENT_TYPE in request.headers:
        wanted.setdefault(hdrs.CONTENT_TYPE, request.headers[hdrs.CONTENT_TYPE])
    url = request.query.get("url", "")
    try:
        async with (
            ClientSession(timeout=_TIMEOUT, skip_auto_headers=(hdrs.USER_AGENT,)) as session,
            session.request(request.method, url, headers=wanted, data=body) as answer,
        ):
            data = await answer.read()
            kind = answer.headers.get(hdrs.CONTENT_TYPE, "application/octet-stream")
            return web.Response(status=answer.status, body=data, headers={hdrs.CONTENT_TYPE: kind})
    except (ClientError, TimeoutError, ValueError):
        return json_response({"error": {"code": 500, "message": f"cannot fetch {url}", "type": "server_error"}}, 500)
