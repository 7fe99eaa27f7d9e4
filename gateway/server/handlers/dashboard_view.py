"""What the status page says, as plain values: no request, no template, no clock.

Two equal views look the same, so a view that equals the one before it needs no drawing.
"""

import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from types import MappingProxyType
from typing import Protocol
from urllib.parse import quote, urlsplit

from gateway.core import errors
from gateway.core.deployment import Deployment, Status
from gateway.proxy.upstream.health.readiness import Health
from gateway.registry.base import SourceProblem
from gateway.telemetry.access_log import RecentRefusal

# Why, for refusals whose name alone does not tell an operator and that come without a cause.
WHY = MappingProxyType(
    {
        errors.BAD_KEY.reason: "missing, unknown, expired, revoked or contradictory key",
        errors.NO_DEPLOYMENT.reason: "unknown id, or a deployment of another account",
        errors.DEPLOYING.reason: "no healthy probe yet, or pinned as deploying",
        errors.PAUSED.reason: "pinned as paused",
        errors.UNREACHABLE.reason: "the upstream did not answer",
        errors.BAD_REQUEST.reason: "not valid HTTP",
        errors.EMPTY_BODY.reason: "a POST without a body",
        errors.NO_SUCH_PATH.reason: "not a path of the gateway; the message named the right base URL, if it was a slip",
        errors.NOT_ENABLED.reason: "a group that is not in the deployment's `endpoints`",
        errors.NO_MODEL.reason: "a model that is not in the upstream's list",
        errors.WRONG_METHOD.reason: "the path is served for another method",
        errors.FOREIGN_ORIGIN.reason: "a web page of an origin that is not in server.cors_origins",
        errors.SLOW_UPLOAD.reason: "the request body stopped arriving",
        errors.TOO_LARGE.reason: "the request body is larger than limits.body_bytes",
        errors.ENCODED_BODY.reason: "the request body came with a Content-Encoding",
        errors.EXPECTATION.reason: "an Expect header other than 100-continue",
        errors.MISDIRECTED.reason: "asked for under a foreign host name",
        errors.FAULT.reason: "an internal error of the gateway; its log has more",
        errors.DRAINING.reason: "the gateway is shutting down",
        errors.BUSY.reason: "too many waited in line for the upstream, or this one for too long",
        errors.RATE_LIMITED.reason: "a limit of the key, its person or its account",
        errors.BUDGET_SPENT.reason: "the tokens of a day or a month are used up",
        errors.TIMED_OUT.reason: "the upstream sent no first byte in time",
        errors.ENDED.reason: "an admin ended the request before it was answered",
    }
)

_WORST_FIRST = ("trouble", "deploying", "up", "unknown", "paused")  # the tone of the whole


@dataclass(frozen=True, slots=True)
class Card:
    """One deployment. `tone` names the sign it is shown with, `label` says the same in words."""

    id: str
    account: str
    status: str
    pinned: bool
    tone: str
    label: str
    outlook: str
    health: str
    since: datetime
    upstream: str | None
    openai_url: str
    anthropic_url: str
    curl: str


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """A refusal, or several alike in a row: `times` of them, the last one at `at`. `first` tells rows apart."""

    first: datetime
    at: datetime
    times: int
    status: int
    reason: str
    account: str | None
    deployment: str | None
    endpoint: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The page in a sentence and a few numbers. `refused` counts from `started` on.

    `worker` names the one that answered, if there are several: all that is shown is its own.
    """

    headline: str
    tone: str
    total: int
    up: int
    under_way: int
    refused: int
    started: datetime
    draining: bool
    worker: str


@dataclass(frozen=True, slots=True)
class View:
    """The page but for its cards; each field is a part that is drawn, and sent, on its own."""

    summary: Summary
    problem: SourceProblem | None
    refusals: tuple[RefusalRow, ...]


def card(deployment: Deployment, status: Status, health: Health, gateway: str, *, show_upstream: bool) -> Card:
    """The card of a deployment of the `gateway` at this URL (`http://host:port`, perhaps with a path)."""
    base = f"{gateway}/api/gguf/{quote(deployment.id, safe='', errors='replace')}"
    tone, label, outlook = _verdict(status, health.seen)
    return Card(
        id=deployment.id,
        account=deployment.account,
        status=status.value,
        pinned=deployment.status is not Status.AUTO,
        tone=tone,
        label=label,
        outlook=outlook,
        health=health.seen,
        since=health.since,
        upstream=_address(deployment.upstream) if show_upstream else None,
        openai_url=f"{base}/v1",
        anthropic_url=base,
        curl=_curl(base, deployment.id),
    )


def rows(refused: Iterable[RecentRefusal]) -> Iterator[RefusalRow]:
    """The refusals, newest first, neighbours that differ only in their time as one. `refused` is oldest first."""
    for alike, group in groupby(reversed(tuple(refused)), key=_all_but_time):
        times = [one.at for one in group]
        yield RefusalRow(times[-1], times[0], len(times), *alike)


class _Toned(Protocol):
    @property
    def tone(self) -> str: ...


def summary(
    cards: Iterable[_Toned],
    *,
    under_way: int,
    refused: int,
    started: datetime,
    draining: bool = False,
    worker: str = "",
) -> Summary:
    """What the top of the page shows."""
    tones = [card.tone for card in cards]
    worst = next((tone for tone in _WORST_FIRST if tone in tones), "unknown")
    up, total = tones.count("up"), len(tones)
    return Summary(
        "Shutting down: no new requests are taken" if draining else _headline(up, total),
        "trouble" if draining else worst,
        total,
        up,
        under_way,
        refused,
        started,
        draining,
        worker,
    )


def _headline(up: int, total: int) -> str:
    if total == 0:
        return "Nothing is deployed yet"
    if total == 1:
        return "The deployment is up" if up else "The deployment is not up"
    if up in {0, total}:
        return f"All {total} deployments are up" if up else f"None of {total} deployments is up"
    return f"{up} of {total} deployments {'is' if up == 1 else 'are'} up"


def _verdict(status: Status, seen: str) -> tuple[str, str, str]:
    """The tone, the label, and what a caller gets."""
    if status is Status.PAUSED:
        return "paused", "Paused", _refusal_in_words(errors.PAUSED)
    if status is not Status.READY:
        return "deploying", "Deploying", _refusal_in_words(errors.DEPLOYING)
    if seen == "ok":
        return "up", "Ready", "Callers are served."
    if seen == "":
        return "unknown", "Ready", "Callers are let through; no probe has looked yet."
    label = "Ready, but loading" if seen == "loading" else "Ready, but unreachable"
    return "trouble", label, f"Callers get {errors.UNREACHABLE.status} until the upstream is ok again."


def _refusal_in_words(row: errors.ErrorRow) -> str:
    return f"Callers get {row.status} and are told to try again in {row.headers['Retry-After']} s."


def _address(upstream: str) -> str:
    """Where an upstream listens, without a user or password, should its URL hold one."""
    parts = urlsplit(upstream)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _curl(base: str, deployment_id: str) -> str:
    body = {"model": deployment_id, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    return (
        f"curl -N {shlex.quote(base + '/v1/chat/completions')} \\\n"
        '  -H "Authorization: Bearer $GGUF_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d {shlex.quote(json.dumps(body))}"
    )


def _all_but_time(one: RecentRefusal) -> tuple[int, str, str | None, str | None, str | None, str]:
    why = one.cause or WHY.get(one.reason, "")
    return one.status, one.reason, one.account, one.deployment, one.endpoint, why
