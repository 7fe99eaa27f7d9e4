"""What the status page says, from plain values."""

import shlex
from datetime import UTC, datetime, timedelta

import pytest

from gateway.core import errors
from gateway.core.deployment import Deployment, Status
from gateway.proxy.upstream.health.readiness import Health
from gateway.server.handlers.dashboard_view import WHY, Card, card, rows, summary
from gateway.telemetry.access_log import RecentRefusal
from tests.harness.pages.status_pages import HOSTILE, NOWHERE

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_card(status: Status = Status.READY, seen: str = "ok", *, name: str = "demo", pinned: bool = False) -> Card:
    deployment = Deployment(name, "acme", NOWHERE, status=status if pinned else Status.AUTO)
    return card(deployment, status, Health(seen, NOW), "http://127.0.0.1:8080", show_upstream=True)


@pytest.mark.parametrize(
    ("status", "seen", "tone", "label", "outlook"),
    [
        (Status.READY, "ok", "up", "Ready", "Callers are served."),
        (Status.READY, "", "unknown", "Ready", "no probe has looked yet"),
        (Status.READY, "loading", "trouble", "Ready, but loading", "Callers get 502"),
        (Status.READY, "no connection", "trouble", "Ready, but unreachable", "Callers get 502"),
        (Status.DEPLOYING, "loading", "deploying", "Deploying", "Callers get 503 and are told to try again in 5 s"),
        (Status.DEPLOYING, "ok", "deploying", "Deploying", "503"),
        (Status.PAUSED, "ok", "paused", "Paused", "Callers get 503 and are told to try again in 30 s"),
    ],
)
def test_a_card_says_in_a_sign_and_in_words_what_callers_get(
    status: Status, seen: str, tone: str, label: str, outlook: str
) -> None:
    shown = a_card(status, seen)
    assert (shown.tone, shown.label) == (tone, label)
    assert outlook in shown.outlook


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_one_argument_and_one_segment_of_the_url(name: str) -> None:
    shown = a_card(name=name)
    assert shown.anthropic_url.count("/") == "http://127.0.0.1:8080/api/gguf/x".count("/")
    assert shown.anthropic_url.isascii()
    command = shlex.split(shown.curl.replace("\\\n", ""))
    assert len(command) == 9
    assert command[2] == f"{shown.anthropic_url}/v1/chat/completions"


@pytest.mark.parametrize(
    ("upstream", "shown"),
    [
        ("http://box.test:9931", "http://box.test:9931"),
        ("http://user:pw@box.test:9931", "http://box.test:9931"),
        ("https://pw@[fd00::2]", "https://[fd00::2]"),
        ("unix:/run/llama.sock", "unix:/run/llama.sock"),
    ],
)
def test_where_an_upstream_listens_is_shown_without_user_and_password(upstream: str, shown: str) -> None:
    made = card(Deployment("demo", "acme", upstream), Status.READY, Health(), "http://h", show_upstream=True)
    assert made.upstream == shown
    assert "pw" not in repr(made)


def test_refusals_alike_and_in_a_row_are_one_row_newest_first() -> None:
    def refused(second: int, reason: str = "bad_key") -> RecentRefusal:
        return RecentRefusal(NOW + timedelta(seconds=second), 401, reason, None, None, None, "")

    shown = list(rows([refused(1), refused(2, "paused"), refused(3), refused(4), refused(5)]))
    assert [(row.reason, row.times) for row in shown] == [("bad_key", 3), ("paused", 1), ("bad_key", 1)]
    assert (shown[0].first, shown[0].at) == (NOW + timedelta(seconds=3), NOW + timedelta(seconds=5))


def test_the_cause_is_why_and_without_one_the_reason_is_explained() -> None:
    caused, bare = (RecentRefusal(NOW, 502, "unreachable", None, None, None, cause) for cause in ("it redirects", ""))
    assert [row.why for row in rows([bare, caused])] == ["it redirects", WHY["unreachable"]]


def test_every_refusal_there_is_can_be_explained() -> None:
    in_the_middle = (errors.CUT, errors.SILENT)  # events inside an answer, not answers
    assert set(WHY) >= {row.reason for row in (*errors.CONTRACT, *errors.FURTHER) if row not in in_the_middle}


@pytest.mark.parametrize(
    ("cards", "headline", "tone"),
    [
        ([], "Nothing is deployed yet", "unknown"),
        ([a_card()], "The deployment is up", "up"),
        ([a_card(Status.DEPLOYING)], "The deployment is not up", "deploying"),
        ([a_card(), a_card()], "All 2 deployments are up", "up"),
        ([a_card(), a_card(Status.PAUSED)], "1 of 2 deployments is up", "up"),
        ([a_card(), a_card(), a_card(seen="loading")], "2 of 3 deployments are up", "trouble"),
        ([a_card(Status.PAUSED), a_card(Status.PAUSED)], "None of 2 deployments is up", "paused"),
    ],
)
def test_the_headline_says_how_many_are_up_and_wears_the_worst_sign(
    cards: list[Card], headline: str, tone: str
) -> None:
    shown = summary(cards, under_way=0, refused=0, started=NOW)
    assert (shown.headline, shown.tone) == (headline, tone)


def test_while_it_drains_that_is_what_the_page_says() -> None:
    shown = summary([a_card()], under_way=2, refused=0, started=NOW, draining=True)
    assert shown.headline.startswith("Shutting down")
