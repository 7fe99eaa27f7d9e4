"""The audit log, as it is read."""

from typing import Any

from pydantic import Field

from gateway.team.models.common import Answer, Moment, PageQuery


class AuditQuery(PageQuery):
    """Which rows are listed, the newest first."""

    actor: str | None = Field(
        default=None, max_length=64, description="Only what this person or token did, by id or by name."
    )
    action: str | None = Field(default=None, max_length=64, description="Only this action, like `keys.create`.")
    since: Moment | None = Field(default=None, description="Only what was done then or later.")
    target: str | None = Field(default=None, max_length=64, description="Only what was done to this, by id.")


class AuditRow(Answer):
    """Who did what to what. `before` and `after` hold what is different, and never a secret."""

    id: int
    at: Moment
    actor_kind: str
    actor: str
    actor_name: str
    face: str
    address: str | None
    action: str
    target: str
    account: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
