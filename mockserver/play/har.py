"""The journal as HAR 1.2, which browsers and HTTP tools open: http://www.softwareishard.com/blog/har-12-spec/."""

from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mockserver.play.journal import JournalEntry
from mockserver.play.secrets import masked_headers, masked_query

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def as_har(entries: Iterable[JournalEntry], version: str) -> dict[str, Any]:
    """The log of exchanges, their keys masked. `_ended` and `_fault` are the mock's own fields."""
    creator = {"name": "mock-llama-server", "version": version}
    return {"log": {"version": "1.2", "creator": creator, "entries": [_har_entry(entry) for entry in entries]}}


def _har_entry(entry: JournalEntry) -> dict[str, Any]:
    total = entry.elapsed_ms() if entry.after_ms is None else entry.after_ms
    wait = total if entry.first_byte_ms is None else min(entry.first_byte_ms, total)
    shown = {
        "startedDateTime": datetime.fromtimestamp(entry.received_at, UTC).isoformat(timespec="milliseconds"),
        "time": total,
        "request": _request(entry),
        "response": _response(entry),
        "cache": {},
        "timings": {"send": 0, "wait": wait, "receive": round(total - wait, 1)},
        "_id": entry.id,
        "_ended": entry.how,
    }
    return shown | ({} if entry.fault is None else {"_fault": entry.fault})


def _request(entry: JournalEntry) -> dict[str, Any]:
    path = masked_query(entry.path)
    query = parse_qsl(urlsplit(path).query, keep_blank_values=True)
    request: dict[str, Any] = {
        "method": entry.method,
        "url": f"http://{entry.header('Host') or 'mock'}{path}",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(masked_headers(entry.headers)),
        "queryString": _pairs(query),
        "headersSize": -1,
        "bodySize": entry.body_bytes,
    }
    if entry.body:
        kind = entry.header("Content-Type") or ""
        request["postData"] = {"mimeType": kind, "text": entry.body.decode("utf-8", "replace")}
    return request


def _response(entry: JournalEntry) -> dict[str, Any]:
    """The answer; status 0 is HAR's word for none."""
    status, headers = entry.status or 0, entry.answer_headers
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    size = len(entry.answer)
    return {
        "status": status,
        "statusText": _PHRASES.get(status, ""),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(masked_headers(headers)),
        "content": {"size": size, "mimeType": kind, "text": entry.answer.decode("utf-8", "replace")},
        "redirectURL": next((value for name, value in headers if name.lower() == "location"), ""),
        "headersSize": -1,
        "bodySize": size,
    }


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]
