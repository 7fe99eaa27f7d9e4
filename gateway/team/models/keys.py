"""Keys, as operations take and give them."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from gateway.config.setting_types import EndpointGroups, Id, Network
from gateway.config.usage_settings import Weight
from gateway.core.account import Priority
from gateway.core.endpoints import EndpointGroup
from gateway.team.models.common import Answer, Moment, Name, PageQuery, Request

Deployments = Annotated[tuple[Id, ...], Field(min_length=1, max_length=1000)]
Networks = Annotated[tuple[Network, ...], Field(min_length=1, max_length=100)]
_PRIORITY = "How its requests wait in line: `batch` takes what no `interactive` one waits for."
_WEIGHT = "Its share beside other keys of the account, where requests wait; for admins to say."
_MOST_SECONDS = 3653 * 86_400


def _seconds(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    is_whole = (isinstance(value, float) and value.is_integer()) or (isinstance(value, int) and value is not True)
    if not is_whole or not 0 <= value <= _MOST_SECONDS:  # type: ignore[operator]  # it is a number
        raise ValueError(f"must be a whole number of seconds, at most {_MOST_SECONDS}")
    return timedelta(seconds=value)  # type: ignore[arg-type]


Seconds = Annotated[
    timedelta,
    BeforeValidator(_seconds),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _MOST_SECONDS}),
]


class KeyLimits(Request):
    """What a key is limited to, beyond its account. Null, or left out, is no limit."""

    deployments: Deployments | None = Field(default=None, description="Ids of the deployments it may call.")
    endpoints: EndpointGroups | None = Field(default=None, description="The groups of endpoints it may call.")
    networks: Networks | None = Field(
        default=None, description="Addresses or networks (CIDR) that its requests may come from."
    )


class NewKey(KeyLimits):
    """A key to be made."""

    account: Id = Field(description="The account it proves.")
    name: Name = Field(description="Its name in lists and logs: another one for each valid key of the account.")
    expires_at: Moment | None = Field(default=None, description="When it ends; never if it is left out.")
    priority: Priority = Field(default=Priority.INTERACTIVE, description=_PRIORITY)
    weight: Weight = Field(default=1.0, description=_WEIGHT)


class KeyChange(KeyLimits):
    """What is to be different about a key. What is left out stays; null takes a limit or the expiry away."""

    name: Name | None = Field(default=None, description="Its name in lists and logs.")
    enabled: bool | None = Field(default=None, description="False switches it off until it is switched on again.")
    expires_at: Moment | None = Field(default=None, description="When it ends; null is never.")
    priority: Priority | None = Field(default=None, description=_PRIORITY)
    weight: Weight | None = Field(default=None, description=_WEIGHT)


class KeyRotation(Request):
    """How a key is replaced by its successor."""

    grace_seconds: Seconds = Field(
        default=timedelta(hours=24),
        description="How long the old one still works, in seconds; a day if left out.",
        json_schema_extra={"default": 86_400},
    )
    expires_at: Moment | None = Field(
        default=None, description="When the successor ends; if left out, it gets the lifetime of the old one."
    )


class KeyRevocation(Request):
    """How a key ends."""

    now: bool = Field(default=False, description="Whether answers that run on it are broken off, visibly.")


class KeyState(StrEnum):
    """What a key is now."""

    VALID = "valid"
    OFF = "off"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeyQuery(PageQuery):
    """Which keys are listed."""

    state: KeyState | None = Field(default=None, description="Only those that are this now.")

    account: Id | None = Field(default=None, description="Only this account's.")
    search: str | None = Field(
        default=None, min_length=1, max_length=64, description="Only those with this in their name, id or prefix."
    )


class Key(Answer):
    """A key, without its text. `state` is `valid`, `off`, `expired` or `revoked`.

    `last_used_at` is kept to the minute. `created_by` is the id of the person who made it.
    """

    id: str
    name: str
    account: str
    state: str
    prefix: str | None
    created_at: Moment | None
    created_by: str | None
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Moment | None
    enabled: bool
    deployments: tuple[str, ...] | None
    endpoints: tuple[EndpointGroup, ...] | None
    networks: tuple[str, ...] | None
    priority: Priority
    weight: float
    successor_of: str | None
    version: int


class CreatedKey(Key):
    """A new key, and its text: shown this once, stored nowhere."""

    key: str


class RotatedKey(CreatedKey):
    """A key's successor, its text, and when the old one ends."""

    old_expires_at: Moment
