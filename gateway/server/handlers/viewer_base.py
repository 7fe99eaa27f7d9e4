"""Where somebody who looks at a page has reached the gateway, and where its clients can."""

import re
from urllib.parse import urlsplit

from aiohttp import web

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+").fullmatch  # a path that needs no escaping anywhere
_PORT = re.compile(r":[0-9]+$")

# As the settings say it, and empty where they do not: where clients reach the gateway, and where people its pages.
PUBLIC_URL = web.AppKey("public_url", str)
PAGES_URL = web.AppKey("pages_url", str)


def base_url_of(request: web.Request, clients_port: int | None) -> str:
    """Where clients reach the gateway: `http[s]://host[:port]`, and the path below which a proxy in front serves it.

    What the settings say counts. Else it is where the page was reached, with `clients_port`, if that is another port
    than the page's.
    """
    if request.app[PUBLIC_URL]:
        return request.app[PUBLIC_URL]
    if clients_port is not None:
        return f"http://{_PORT.sub('', request.host)}:{clients_port}"
    return reached_url(request)


def pages_url(request: web.Request) -> str:
    """Where people reach the gateway's pages: as the settings say, or else where this one was reached."""
    return request.app[PAGES_URL] or reached_url(request)


def reached_url(request: web.Request) -> str:
    """Where the page was reached. The headers of a proxy in front change what is shown, and nothing else."""
    behind_tls = request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    return f"{'https' if behind_tls else request.scheme}://{request.host}{_path_below(request)}"


def is_at_public_url(request: web.Request) -> bool:
    """Whether the browser asks for where the settings say that people reach the pages."""
    return urlsplit(request.app[PAGES_URL]).netloc.lower() == request.host.lower()


def _path_below(request: web.Request) -> str:
    """The path below which a proxy serves the pages, which it has cut off: it says so, or the settings do."""
    told = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
    if _PREFIX(told) is not None:
        return told
    return urlsplit(request.app[PAGES_URL]).path if is_at_public_url(request) else ""
