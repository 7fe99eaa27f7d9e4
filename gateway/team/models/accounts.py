"""Accounts, as operations take and give them."""

from pydantic import Field

from gateway.config.setting_types import Id
from gateway.config.usage_settings import Weight
from gateway.team.models.common import Answer, Moment, Request

_WEIGHT = "Its share beside other accounts, where requests wait."


class NewAccount(Request):
    """An account to be made."""

    id: Id = Field(description="Its name.")
    weight: Weight = Field(default=1.0, description=_WEIGHT)


class AccountChange(Request):
    """What is to be different about an account."""

    weight: Weight = Field(description=_WEIGHT)


class Account(Answer):
    """The owner of keys and deployments. `created_at` is null where the registry is a file.

    `weight` is its share beside other accounts, where requests wait.
    """

    id: str
    created_at: Moment | None
    weight: float


class RemovedAccount(Account):
    """An account that is no more, and how many keys, all of them ended before, went with it."""

    ended_keys: int
