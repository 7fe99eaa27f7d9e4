"""Accounts, as operations take and give them."""

from pydantic import Field

from gateway.config.setting_types import Id
from gateway.team.models.common import Answer, Moment, Request


class NewAccount(Request):
    """An account to be made."""

    id: Id = Field(description="Its name.")


class Account(Answer):
    """The owner of keys and deployments. `created_at` is null where the registry is a file."""

    id: str
    created_at: Moment | None


class RemovedAccount(Account):
    """An account that is no more, and how many keys, all of them ended before, went with it."""

    ended_keys: int
