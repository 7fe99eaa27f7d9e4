"""Limits on use, as operations take and give them."""

from typing import Annotated

from pydantic import Field

from gateway.config.setting_types import Id
from gateway.config.usage_settings import Amount
from gateway.core.rate_limits import Measure, SubjectKind
from gateway.team.models.common import Answer, Moment, PageQuery, Request

_One = Annotated[str, Field(min_length=1, max_length=64)]


class NewLimit(Request):
    """A limit to be set: a new one, or another amount where there is one on the same use by the same."""

    kind: SubjectKind = Field(description="Who is limited: a `key`, a `person` with all their keys, or an `account`.")
    subject: _One = Field(description="The id of that key, person or account.")
    measure: Measure = Field(description="What is limited. Days and months are those of `server.time_zone`.")
    amount: Amount = Field(description="The most that may be used.")
    deployment: Id | None = Field(default=None, description="Of this deployment only; of all together if left out.")
    shadow: bool = Field(default=False, description="Whether it is only counted and shown, and refuses nothing.")


class LimitChange(Request):
    """What is to be different about a limit. What is left out stays."""

    amount: Amount | None = Field(default=None, description="The most that may be used.")
    shadow: bool | None = Field(default=None, description="Whether it is only counted and shown, and refuses nothing.")


class LimitQuery(PageQuery):
    """Which limits are listed."""

    kind: SubjectKind | None = Field(default=None, description="Only those on keys, on people or on accounts.")
    subject: _One | None = Field(default=None, description="Only those on the one with this id.")
    deployment: _One | None = Field(default=None, description="Only those of this deployment.")


class Limit(Answer):
    """A limit, and how it stands. `subject_name` is what people call a key or a person.

    `used` has what is reserved for requests under way. At `resets_at` nothing counts any more of what has been used
    until now. These three are null where what is counted cannot be looked at.
    """

    id: str
    kind: SubjectKind
    subject: str
    subject_name: str | None
    deployment: str | None
    measure: Measure
    amount: int
    shadow: bool
    used: int | None
    left: int | None
    resets_at: Moment | None
    created_at: Moment | None
    version: int
