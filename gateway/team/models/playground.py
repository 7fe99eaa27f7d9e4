"""The playground's keys, as operations take and give them."""

from pydantic import Field

from gateway.config.setting_types import Id
from gateway.team.models.common import Answer, Moment, Request


class NewPlaygroundKey(Request):
    """A key for a page on which somebody tries a deployment."""

    deployment: Id = Field(description="The deployment it may call, and nothing else.")


class PlaygroundKey(Answer):
    """The key, and its text: given this once, stored nowhere."""

    id: str
    key: str
    deployment: str
    expires_at: Moment
