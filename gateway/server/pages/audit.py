"""`/audit`: who did what to what, the newest first; and the same as JSON lines. For admins alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from gateway.core.exchange import EXCHANGE
from gateway.proxy.client_connection import connection_of
from gateway.server.pages.layout import HEADERS, long_page, page, rendered, template
from gateway.server.pages.operations import do, read_form
from gateway.team.actor import Actor
from gateway.team.models.audit import AuditQuery, AuditRow
from gateway.team.models.common import Page
from gateway.team.operations.table import OPERATIONS

_AUDIT = template("audit.html")

_FILTERS = ("actor", "action", "target")
_ON_A_PAGE, _IN_A_CHUNK = 50, 500  # rows
# What is noted without being an operation of its own: how people come in.
_ENTRIES = ("invitations.accept", "people.set_password", "people.sign_in")


class ChangedField(NamedTuple):
    """One field of what was changed. `before` is empty for what was made, `after` for what was removed."""

    field: str
    before: str
    after: str


class Entry(NamedTuple):
    """A row of the log, with its differences in words."""

    row: AuditRow
    differences: list[ChangedField]


@page
async def overview(request: web.Request, actor: Actor) -> web.Response:
    """A page of the log, and the form that narrows it."""
    wanted = _wanted(request)
    query = read_form(AuditQuery, wanted | {"limit": _ON_A_PAGE, "cursor": request.query.get("cursor") or None})
    found: Page[AuditRow] = await do(request, actor, "audit.list", asked=query)
    actions = {name for name, operation in OPERATIONS.items() if not operation.is_read}
    return rendered(
        request,
        _AUDIT,
        actor,
        entries=[Entry(row, list(_differences(row.before, row.after))) for row in found.items],
        next_cursor=found.next_cursor,
        is_first=query.cursor is None,
        wanted={name: wanted.get(name, "") for name in _FILTERS},
        filters=urlencode(wanted),
        actions=sorted({*actions, *_ENTRIES}),
    )


@long_page
async def download(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Everything that the filters let through, a line of JSON each, the newest first; sent as it is read."""
    wanted = _wanted(request)
    query = read_form(AuditQuery, wanted | {"limit": _IN_A_CHUNK})
    found: Page[AuditRow] = await do(request, actor, "audit.list", asked=query)
    headers = {**HEADERS, "Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="audit.jsonl"'}
    answer = web.StreamResponse(headers=headers)
    answer.content_type = "application/jsonl"
    answer.charset = "utf-8"
    await answer.prepare(request)
    request[EXCHANGE].first_byte_at = monotonic()
    if request.method == "HEAD":
        return answer
    await answer.write(_lines(found.items))
    try:
        while found.next_cursor is not None:
            query = query.model_copy(update={"cursor": found.next_cursor})
            found = await do(request, actor, "audit.list", asked=query)
            await answer.write(_lines(found.items))
    except Exception:
        # What is said of it would stand among the lines.
        connection_of(request).reset()
        raise
    return answer


def _wanted(request: web.Request) -> dict[str, object]:
    given = {name: request.query.get(name, "").strip() for name in _FILTERS}
    return {name: text for name, text in given.items() if text}


def _lines(rows: Sequence[AuditRow]) -> bytes:
    return "".join(row.model_dump_json() + "\n" for row in rows).encode()


def _differences(before: Mapping[str, object] | None, after: Mapping[str, object] | None) -> Iterator[ChangedField]:
    """What is different, field by field; without the counter of changes, and the id, which the row names already."""
    was, is_now = before or {}, after or {}
    for field in dict.fromkeys((*was, *is_now)):
        old, new = _text(was.get(field)), _text(is_now.get(field))
        if field not in {"id", "version"} and old != new:
            yield ChangedField(field.replace("_", " "), old, new)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case list():
            return ", ".join(map(_text, value))
        case dict():
            return ", ".join(f"{name} {_text(one)}" for name, one in value.items() if one is not None)
    return json.dumps(value)
