"""Who may do what: one table of (role, action). Nothing else decides it.

A role that has no entry for an action may not do it at all. What lies beyond an entry's reach looks like what is not
there.
"""

from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a person is. An admin sees and changes everything."""

    ADMIN = "admin"
    MEMBER = "member"


class Reach(StrEnum):
    """How far a permission goes: to everything, to what the person's accounts own, or to what is the person's own."""

    EVERYTHING = "everything"
    ACCOUNTS = "accounts"
    OWN = "own"


_ADMINS = (
    *("accounts.list", "accounts.create", "accounts.change", "accounts.remove"),
    *("people.list", "people.get", "people.change", "people.remove", "people.sign_out"),
    *("people.sessions", "people.password_link"),
    *("invitations.list", "invitations.create", "invitations.remove"),
    *("keys.list", "keys.get", "keys.create", "keys.change", "keys.rotate", "keys.revoke"),
    *("playground.key", "playground.end"),
    *("tokens.list", "tokens.create", "tokens.revoke"),
    *("deployments.list", "deployments.get", "deployments.create", "deployments.change", "deployments.remove"),
    *("deployments.pause", "deployments.resume"),
    *("activity.list", "activity.end", "activity.move", "audit.list", "events.watch"),
    *("usage.get", "usage.latency"),
    *("limits.list", "limits.set", "limits.change", "limits.remove"),
)
_MEMBERS = {
    "accounts.list": Reach.ACCOUNTS,
    "people.list": Reach.OWN,
    "people.get": Reach.OWN,
    "people.sign_out": Reach.OWN,
    "people.sessions": Reach.OWN,
    "keys.list": Reach.OWN,
    "keys.get": Reach.OWN,
    "keys.create": Reach.OWN,
    "keys.change": Reach.OWN,
    "keys.rotate": Reach.OWN,
    "keys.revoke": Reach.OWN,
    "playground.key": Reach.ACCOUNTS,
    "playground.end": Reach.OWN,
    "deployments.list": Reach.ACCOUNTS,
    "deployments.get": Reach.ACCOUNTS,
    "activity.list": Reach.ACCOUNTS,
    "events.watch": Reach.ACCOUNTS,
    "usage.get": Reach.OWN,
    "limits.list": Reach.OWN,
    "usage.latency": Reach.ACCOUNTS,
}
PERMISSIONS = MappingProxyType(
    {
        **{(Role.ADMIN, action): Reach.EVERYTHING for action in _ADMINS},
        **{(Role.MEMBER, action): reach for action, reach in _MEMBERS.items()},
    }
)
