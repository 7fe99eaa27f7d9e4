"""What all the models share: their base, pages, and points in time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from gateway.config.setting_types import Label, moment

T = TypeVar("T")


class Request(BaseModel):
    """The base of what is asked: unknown fields are refused, and no error repeats a value."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class Answer(BaseModel):
    """The base of what is answered."""

    model_config = ConfigDict(frozen=True)


def as_utc(value: datetime) -> str:
    """A point in time as answers have it: ISO 8601, in UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


# ISO 8601: taken with its time zone, given in UTC.
Moment = Annotated[
    datetime,
    BeforeValidator(moment),
    PlainSerializer(as_utc, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


# As `check_label` has it: printable characters are those that are neither separators (Z) nor others (C), and the space.
Name = Annotated[
    Label,
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "pattern": r"^[^\p{C}\p{Z}]+( +[^\p{C}\p{Z}]+)*$",
        }
    ),
]


class PageQuery(Request):
    """Which part of a list is asked for."""

    limit: int = Field(default=100, ge=1, le=1000, description="How many items at most.")
    cursor: str | None = Field(
        default=None, max_length=2000, description="`next_cursor` of the page before; none for the first page."
    )


class Page(Answer, Generic[T]):
    """A part of a list. `next_cursor` is null on the last page."""

    items: Sequence[T]
    next_cursor: str | None = None


class Nothing(Answer):
    """An answer without content."""
