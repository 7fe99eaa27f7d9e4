"""Limits on what a key, a person or an account may use, as the registry knows them. Pure: no I/O."""

from enum import StrEnum
from typing import NamedTuple, Protocol, Self


class Measure(StrEnum):
    """What is limited. A day and a month are those of the calendar, in the zone of `server.time_zone`."""

    description: str  # what is counted

    def __new__(cls, value: str, description: str = "") -> Self:
        """A measure of this name, as settings and the admin API have it."""
        measure = str.__new__(cls, value)
        measure._value_ = value
        measure.description = description
        return measure

    CONCURRENT_REQUESTS = "concurrent_requests", "Requests under way at a time."
    REQUESTS_PER_MINUTE = "requests_per_minute", "Requests within any 60 seconds."
    TOKENS_PER_MINUTE = "tokens_per_minute", "Tokens, read and written, within any 60 seconds."
    TOKENS_PER_DAY = "tokens_per_day", "Tokens on a day of the calendar."
    TOKENS_PER_MONTH = "tokens_per_month", "Tokens in a month of the calendar."

    @property
    def words(self) -> str:
        """Its name, as people read it."""
        return self.value.replace("_per_", " a ").replace("_", " ")

    def counted(self, amount: int) -> str:
        """So much of it, as people read it: `1,000 requests a minute`, `1 request a minute`."""
        words = self.words if amount != 1 else self.words.replace("requests", "request").replace("tokens", "token")
        return f"{amount:,} {words}"


class SubjectKind(StrEnum):
    """Who is limited."""

    KEY = "key"
    PERSON = "person"
    ACCOUNT = "account"


class RateLimit(NamedTuple):
    """At most `amount` of a measure for a subject: for each `deployment` that is named, or for all together (None).

    `subject` is the id of a key, a person or an account. With `is_shadow` it is counted and shown, not enforced.
    `counts_as` is the first of the keys that were rotated to this one: it goes on where the limit of that stood.
    """

    id: str
    subject_kind: SubjectKind
    subject: str
    measure: Measure
    amount: int
    deployment: str | None = None
    is_shadow: bool = False
    counts_as: str | None = None


class Allotment(Protocol):
    """What a request has taken of its limits, until it is over."""

    def leave(self) -> None:
        """Count it no longer as under way: its client is about to have all of its answer, and may ask again."""

    def settle(self, tokens: int | None, *, was_sent: bool) -> None:
        """It is over, and took so many tokens; None: nobody knows. If it was never sent up, it has taken nothing.

        Only the first call counts.
        """
