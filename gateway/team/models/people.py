"""People and invitations, as operations take and give them."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema

from gateway.config.setting_types import Id
from gateway.team.models.common import Answer, Moment, Name, PageQuery, Request
from gateway.team.roles import Role

_LONGEST_EMAIL = 254
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,189}")


def _email(value: str) -> str:
    if _EMAIL.fullmatch(value) is None:
        raise ValueError("is not an e-mail address like ada@example.org")
    return value.lower()


def email_or_none(value: object) -> str | None:
    """An e-mail address as it is stored; None for what is none, or too long to be."""
    fits = isinstance(value, str) and len(value) <= _LONGEST_EMAIL and _EMAIL.fullmatch(value) is not None
    return str(value).lower() if fits else None


Email = Annotated[str, AfterValidator(_email), WithJsonSchema({"type": "string", "pattern": f"^{_EMAIL.pattern}$"})]
Accounts = Annotated[tuple[Id, ...], Field(max_length=100)]


class Person(Answer):
    """Somebody who can sign in. `accounts` are those they belong to; an admin sees all, whatever they are."""

    id: str
    name: str
    email: str | None
    role: Role
    accounts: tuple[str, ...]
    enabled: bool
    has_password: bool
    created_at: Moment
    version: int


class PersonChange(Request):
    """What is to be different about a person. What is left out stays."""

    name: Name | None = Field(default=None, description="What lists and the audit log call them; each name once.")
    email: Email | None = Field(default=None, description="By which a sign-in by OpenID Connect finds them.")
    role: Role | None = Field(default=None, description="`admin` or `member`.")
    accounts: Accounts | None = Field(default=None, description="All accounts they belong to.")
    enabled: bool | None = Field(default=None, description="Whether they may sign in; false ends their sessions, too.")


class NewInvitation(Request):
    """A link to be made, by which somebody new signs in for the first time and chooses a password."""

    name: Name = Field(description="What lists and the audit log will call them; each name once.")
    email: Email | None = Field(default=None, description="By which a sign-in by OpenID Connect finds them.")
    role: Role = Field(default=Role.MEMBER, description="`admin` or `member`.")
    accounts: Accounts = Field(default=(), description="The accounts they will belong to.")


class Invitation(Answer):
    """An invitation, without its link. It works once, until `expires_at`."""

    id: str
    name: str
    email: str | None
    role: Role
    accounts: tuple[str, ...]
    created_at: Moment
    expires_at: Moment


class CreatedInvitation(Invitation):
    """An invitation, and the link: shown this once, stored nowhere."""

    url: str


class PasswordLink(Answer):
    """A link by which somebody chooses a new password: shown this once, stored nowhere, good for once."""

    url: str
    expires_at: Moment


class Session(Answer):
    """A browser in which somebody is signed in. `id` tells it apart, and opens nothing."""

    id: str
    address: str | None
    created_at: Moment
    seen_at: Moment
    expires_at: Moment


class PersonQuery(PageQuery):
    """Which people are listed."""

    search: str | None = Field(
        default=None, min_length=1, max_length=64, description="Only those with this in their name or e-mail address."
    )


class AcceptedInvitation(Request):
    """What somebody who was invited chooses."""

    password: SecretStr
