"""The status page in HTML: drawn once for all who look at it, and of what has changed only that.

It is used in threads: drawing very many deployments takes its time. Imported when somebody first looks: Jinja takes its
time to load, too.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from typing import NamedTuple

import aiohttp_jinja2
import jinja2
from aiohttp import web
from markupsafe import Markup

from gateway.core.deployment import Deployment, Status
from gateway.proxy.upstream.health.readiness import Health
from gateway.registry.base import SourceProblem
from gateway.server.handlers import dashboard_view
from gateway.server.handlers.dashboard_view import Summary, View
from gateway.telemetry.access_log import RecentRefusal

_AT_ONCE = 50  # cards, put together in about a millisecond
_PLACE = "\0"  # where the cards stand in the section around them

# Of an application of its own: the gateway's is closed to changes once it serves.
_environment = aiohttp_jinja2.setup(
    web.Application(),
    loader=jinja2.PackageLoader("gateway.server.handlers"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    default_helpers=False,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Facts(NamedTuple):
    """What is to be drawn. `standing` tells status and health of a deployment, `summary` makes the top of the page."""

    deployments: Mapping[str, Deployment]
    standing: Callable[[Deployment], tuple[Status, Health]]
    summary: Callable[[Collection["DrawnCard"]], Summary]
    problem: SourceProblem | None
    refused: tuple[RecentRefusal, ...]
    base_url: str
    show_upstream: bool


class DrawnCard(NamedTuple):
    """A deployment's card, and what it shows."""

    shows: tuple[object, ...]
    tone: str
    html: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The page at one moment. `news` are the events that make it of the drawing before, if there was one."""

    version: int
    view: View
    parts: Mapping[str, str]
    cards: Mapping[str, DrawnCard]
    news: bytes

    def page(self, **values: object) -> bytes:
        """The whole page."""
        section = _section(bool(self.cards)).replace(_PLACE, "".join(card.html for card in self.cards.values()))
        parts = {name: Markup(html) for name, html in {**self.parts, "deployments": section}.items()}  # noqa: S704  drawn here
        return _rendered("status.html", parts=parts, **values).encode("utf-8", "replace")

    def events(self) -> Iterator[bytes]:
        """The events that show all of it, in pieces."""
        yield _part(self.parts["summary"]) + _part(self.parts["problem"])
        yield from _section_event(self.cards)
        yield _part(self.parts["refusals"])


def draw(before: Drawing | None, facts: Facts) -> Drawing:
    """The page as it is now, which is `before` if nothing has changed."""
    cards = _cards(before.cards if before is not None else {}, facts)
    refusals = tuple(dashboard_view.rows(facts.refused))
    view = View(summary=facts.summary(cards.values()), problem=facts.problem, refusals=refusals)
    if before is None:
        parts = {name: _rendered(f"status_{name}.html", view=view) for name in _names()}
        return Drawing(1, view, parts, cards, b"")
    changed = [name for name in _names() if getattr(view, name) != getattr(before.view, name)]
    parts = {**before.parts, **{name: _rendered(f"status_{name}.html", view=view) for name in changed}}
    news = b"".join(
        [
            *(_part(parts[name]) for name in ("summary", "problem") if name in changed),
            *_card_events(before.cards, cards),
            *(_part(parts[name]) for name in ("refusals",) if name in changed),
        ]
    )
    return Drawing(before.version + 1, view, parts, cards, news) if news else before


def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(View))


def _cards(before: Mapping[str, DrawnCard], facts: Facts) -> dict[str, DrawnCard]:
    """The cards of all deployments by id, those that show the same as before taken from there."""
    cards = {}
    for name in sorted(facts.deployments):
        deployment = facts.deployments[name]
        status, health = facts.standing(deployment)
        shows = (deployment, status, health.seen, health.since)
        known = before.get(name)
        if known is None or known.shows != shows:
            seen = Health(health.seen, health.since)
            card = dashboard_view.card(deployment, status, seen, facts.base_url, show_upstream=facts.show_upstream)
            known = DrawnCard(shows, card.tone, _rendered("status_card.html", card=card))
        cards[name] = known
    return cards


def _card_events(before: Mapping[str, DrawnCard], now: Mapping[str, DrawnCard]) -> Iterator[bytes]:
    """What makes the cards `now` of those `before`. The first and the last one come and go with their section."""
    if bool(before) != bool(now):
        yield from _section_event(now)
        return
    gone = [f"d-{name}" for name in before if name not in now]
    if gone:
        yield b"event: gone\ndata: %b\n\n" % json.dumps(gone).encode()
    for name, card in now.items():
        if before.get(name) is not card:
            yield _part(card.html)


def _section_event(cards: Mapping[str, DrawnCard]) -> Iterator[bytes]:
    head, _place, tail = _section(bool(cards)).partition(_PLACE)
    yield b'event: part\ndata: "%b' % _within_json(head)
    remaining = iter(cards.values())
    while portion := "".join(card.html for card in islice(remaining, _AT_ONCE)):
        yield _within_json(portion)
    yield b'%b"\n\n' % _within_json(tail)


def _section(any_cards: bool) -> str:
    return _rendered("status_deployments.html", cards=_PLACE if any_cards else "")


def _part(html: str) -> bytes:
    return b'event: part\ndata: "%b"\n\n' % _within_json(html)


def _within_json(html: str) -> bytes:
    return json.dumps(html)[1:-1].encode()


def _rendered(name: str, **values: object) -> str:
    return _environment.get_template(name).render(values)
