"""Accounts, as operations take and give them."""

from pydantic import Field

from gateway.config.setting_types import Id
from gateway.team.models.common import Answer, Moment, Request


class NewAccount(Request):
    """An account to be made."""

    id: Id = Field(description="Its name.")


class Account(Answer):
    """The owner of keys and deployments."""

    id: str
    created_at: Moment
