"""Admin tokens, as operations take and give them."""

from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.team.models.common import Answer, Moment, Name, Request
from gateway.team.scopes import SCOPES


def _each_known(scopes: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise ValueError(f"must be of {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in scopes)


Scopes = Annotated[
    tuple[str, ...],
    Field(min_length=1, json_schema_extra={"items": {"enum": list(SCOPES)}}),
    AfterValidator(_each_known),
]


class NewToken(Request):
    """An admin token to be made."""

    name: Name = Field(description="Its name in lists and in the audit log.")
    scopes: Scopes = Field(description="What it may do; `*` is everything.")
    expires_at: Moment | None = Field(default=None, description="When it ends; never if it is left out.")


class AdminToken(Answer):
    """An admin token, without its text. `state` is `valid`, `expired` or `revoked`."""

    id: str
    name: str
    state: str
    prefix: str
    scopes: tuple[str, ...]
    created_by: str | None
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None


class CreatedToken(AdminToken):
    """A new token, and its text: shown this once, stored nowhere."""

    token: str
