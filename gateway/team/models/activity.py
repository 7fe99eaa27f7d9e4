"""Requests under way, as operations give them."""

from pydantic import Field

from gateway.config.setting_types import Id
from gateway.core.account import Priority
from gateway.team.models.common import Answer, Moment, Request


class Activity(Answer):
    """A request under way. `key_name` and `person`, who made the key, are null for a key that is gone.

    `bytes` is what the client was sent of the answer so far; `events` is null for what is no stream, and else
    estimated from the size of the last ones. `started_at` is to the second. `is_answering` is false in line, and
    until the answer begins. `position` is its place in line, from 1, and `expected_wait` in how many seconds it will
    have a slot; both are null where it does not wait, or nothing is known yet.
    """

    id: str
    account: str
    key: str
    key_name: str | None
    person: str | None
    deployment: str
    endpoint: str
    started_at: Moment
    bytes: int
    events: int | None
    is_answering: bool
    priority: Priority
    position: int | None
    expected_wait: float | None


class ActivityQuery(Request):
    """Which requests under way are listed."""

    account: Id | None = Field(default=None, description="Only this account's.")
    deployment: Id | None = Field(default=None, description="Only this deployment's.")
