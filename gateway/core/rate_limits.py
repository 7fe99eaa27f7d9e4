"""Limits on what a key, a person or an account may use, as the registry knows them. Pure: no I/O."""

from enum import StrEnum
from typing import NamedTuple, Protocol


class Measure(StrEnum):
    """What is limited. A day and a month are those of the calendar, in the zone of `server.time_zone`."""

    CONCURRENT_REQUESTS = "concurrent_requests"
    REQUESTS_PER_MINUTE = "requests_per_minute"
    TOKENS_PER_MINUTE = "tokens_per_minute"
    TOKENS_PER_DAY = "tokens_per_day"
    TOKENS_PER_MONTH = "tokens_per_month"


class SubjectKind(StrEnum):
    """Who is limited."""

    KEY = "key"
    PERSON = "person"
    ACCOUNT = "account"


class RateLimit(NamedTuple):
    """At most `amount` of a measure for a subject: for each `deployment` that is named, or for all together (None).

    `subject` is the id of a key, a person or an account. With `is_shadow` it is counted and shown, not enforced.
    """

    id: str
    subject_kind: SubjectKind
    subject: str
    measure: Measure
    amount: int
    deployment: str | None = None
    is_shadow: bool = False


class Allotment(Protocol):
    """What a request has taken of its limits, until it is over."""

    def leave(self) -> None:
        """Count it no longer as under way: its client is about to have all of its answer, and may ask again."""

    def settle(self, tokens: int | None, *, was_sent: bool) -> None:
        """It is over, and took so many tokens; None: nobody knows. If it was never sent up, it has taken nothing."""
