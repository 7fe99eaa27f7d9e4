"""Where somebody who looks at the status page has reached the gateway, and so where its clients can."""

import re

from aiohttp import web

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+").fullmatch  # a path that needs no escaping anywhere
_PORT = re.compile(r":[0-9]+$")


def base_url_of(request: web.Request, clients_port: int | None) -> str:
    """`http://host:port`, and below it the path at which a proxy in front serves the gateway.

    The port is `clients_port`, if that is another one than the page's. The proxy's headers change what is shown, and
    nothing else.
    """
    if clients_port is not None:
        return f"http://{_PORT.sub('', request.host)}:{clients_port}"
    behind_tls = request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    prefix = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
    shown = prefix if _PREFIX(prefix) is not None else ""
    return f"{'https' if behind_tls else request.scheme}://{request.host}{shown}"
