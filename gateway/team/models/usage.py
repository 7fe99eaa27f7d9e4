"""Usage, as operations take and give it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from gateway.team.models.common import Answer, Moment, Request

TIMES = ("hour", "day")
UNKNOWN = "unknown"  # how requests of merged hours ended
SUBJECTS = ("key", "person", "account", "deployment", "endpoint")
_BY = f"^(({'|'.join(TIMES)})|(({'|'.join(TIMES)}),)?({'|'.join(SUBJECTS)}))$"
_One = Annotated[str, Field(min_length=1, max_length=64)]


class _Span(Request):
    """A time, and whose use of what. The first hour, or day, is counted whole."""

    since: Moment | None = Field(default=None, description="From then on; from 7 days ago if it is left out.")
    until: Moment | None = Field(default=None, description="Until then; until now if it is left out.")
    account: _One | None = Field(default=None, description="Only this account's.")
    deployment: _One | None = Field(default=None, description="Only of this deployment.")

    @field_validator("until")
    @classmethod
    def _after_since(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("since")
        if value is not None and since is not None and value <= since:
            raise ValueError("must be later than `since`")
        return value


class UsageQuery(_Span):
    """Which usage is asked for, and how its rows are told apart."""

    by: str = Field(
        default="key",
        pattern=_BY,
        description="What has a row of its own: `key`, `person`, `account`, `deployment`, `endpoint`, `hour` or `day`; "
        "or each of these in each hour or on each day, like `day,key`.",
    )
    top: int | None = Field(
        default=None, ge=1, le=100, description="How many of the subjects have rows; all others have one together."
    )
    key: _One | None = Field(default=None, description="Only with this key, by its id.")
    person: _One | None = Field(default=None, description="Only with the keys of this person, by their id.")


class UsageSums(Answer):
    """What was used. A mean is null where there is nothing to take it of, `cost` where no price is set.

    `tokens_cached` are among `tokens_in`. `tokens_counted` are those, among both, that the gateway has counted itself,
    of answers that were cut: the model server never said them. Seconds: `queue` in line, `slot` with a place.
    `endings` says how many requests ended how; `unknown` are those of merged hours.
    """

    requests: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    tokens_counted: int
    queue_seconds: float
    slot_seconds: float
    first_byte_mean_seconds: float | None
    duration_mean_seconds: float | None
    endings: Mapping[str, int]
    cost: float | None

    @property
    def unfinished(self) -> int:
        """Requests whose answer the client did not get whole, as far as that is known."""
        return self.requests - self.endings.get("finished", 0) - self.endings.get(UNKNOWN, 0)


class UsageRow(UsageSums):
    """What was used by one. Null are the fields that do not tell rows apart, and `person` of a key that is nobody's.

    `key` is null too where hours were merged, see `merged_hours`, and all of them are in the row of all others that
    `top` leaves together (`is_others`). `day` is of the calendar in the time zone.
    """

    hour: Moment | None
    day: str | None
    account: str | None
    key: str | None
    key_name: str | None
    person: str | None
    person_name: str | None
    deployment: str | None
    endpoint: str | None
    is_others: bool


class UsageReport(Answer):
    """Rows, by time, then by tokens, the most first; ten thousand at most (`is_cut` says that there are more).

    `since` and `until` are what was counted: whole hours, or whole days where `source` is `days`. `merged_hours` are
    those of which it is not known by which key, because the database was away for long. `waiting_since` is there where
    the database takes no usage now: what was used since then is not counted yet. `total` is of all rows.
    """

    since: Moment
    until: Moment
    source: str
    time_zone: str
    currency: str | None
    rows: Sequence[UsageRow]
    is_cut: bool
    total: UsageSums
    merged_hours: Sequence[Moment]
    waiting_since: Moment | None


class Latency(StrEnum):
    """What takes time: standing in line, the wait for an answer's first byte, the whole exchange."""

    QUEUE = "queue"
    FIRST_BYTE = "first_byte"
    DURATION = "duration"


class LatencyQuery(_Span):
    """How long what took is asked for."""

    by: str = Field(
        default="deployment",
        pattern="^(hour|day|deployment)$",
        description="What has a row of its own: `deployment`, `hour` or `day`.",
    )


class LatencyRow(Answer):
    """How long one thing took in `number` exchanges. Percentiles in seconds, estimated within the bounds of buckets."""

    measure: Latency
    hour: Moment | None
    day: str | None
    account: str | None
    deployment: str | None
    number: int
    p50: float
    p95: float
    p99: float


class LatencyReport(Answer):
    """Rows, by measure and time. Kept as long as hours are; a member sees their accounts' deployments, whole."""

    since: Moment
    until: Moment
    time_zone: str
    rows: Sequence[LatencyRow]
