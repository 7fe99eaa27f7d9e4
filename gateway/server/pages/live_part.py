"""The part of a page that keeps itself current: drawn once for all who may see the same, sent only where it is news.

The page asks for it every two seconds (docs/develop/decisions/0028-live-pages.md).
"""

from collections.abc import Hashable
from hashlib import sha256
from typing import NamedTuple

import jinja2
from aiohttp import hdrs, web

from gateway.server.pages.layout import HEADERS, drawn

_MOST_KEPT = 32


class _Drawn(NamedTuple):
    values: dict[str, object]
    html: str
    etag: str


_KEPT: dict[Hashable, _Drawn] = {}


def live_part(request: web.Request, part: jinja2.Template, seen_by: Hashable, **values: object) -> web.Response:
    """The part alone; 304 where the page has it. `seen_by` is what else the drawing depends on: who may see what."""
    found = _kept(part, seen_by, values)
    headers = {**HEADERS, hdrs.ETAG: found.etag, hdrs.CACHE_CONTROL: "no-store"}
    if request.headers.get(hdrs.IF_NONE_MATCH) == found.etag:
        return web.Response(status=304, headers=headers)
    body = found.html.encode("utf-8", "replace")
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)


def _kept(part: jinja2.Template, seen_by: Hashable, values: dict[str, object]) -> _Drawn:
    key = part, seen_by
    known = _KEPT.pop(key, None)
    if known is None or known.values != values:
        html = drawn(part, **values)
        known = _Drawn(values, html, f'"{sha256(html.encode("utf-8", "replace")).hexdigest()[:20]}"')
    _KEPT[key] = known
    if len(_KEPT) > _MOST_KEPT:
        del _KEPT[next(iter(_KEPT))]  # the one that was asked for longest ago
    return known
