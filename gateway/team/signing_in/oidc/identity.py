"""Who somebody is by their claims, and what the settings give them. Pure: no I/O."""

from dataclasses import dataclass
from typing import Any

from gateway.config.sign_in_settings import Grant, OpenIdConnect
from gateway.team.models.people import email_or_none

_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody at a provider. `email` is None unless the provider has verified it."""

    issuer: str
    subject: str
    name: str
    email: str | None
    groups: frozenset[str]


def identity_of(claims: dict[str, Any], settings: OpenIdConnect) -> Identity:
    """Who the provider says that somebody is, by the claims of a good ID token and what it says beside it."""
    verified = claims.get("email_verified") is True
    email = email_or_none(claims.get("email")) if verified else None
    called = [claims.get("name"), claims.get("preferred_username"), email, "somebody"]
    name = next(filter(None, map(_name, called)), "somebody")
    return Identity(settings.issuer, str(claims["sub"]), name, email, _groups(claims, settings.groups_claim))


def granted(identity: Identity, settings: OpenIdConnect) -> Grant | None:
    """What the settings give: the best role and all accounts of whatever fits; None where nothing fits."""
    fitting = [grant for group, grant in settings.groups.items() if group in identity.groups]
    domain = identity.email.rpartition("@")[2] if identity.email is not None else ""
    if domain in settings.domains:
        fitting.append(settings.domains[domain])
    if not fitting:
        return None
    best = next((grant for grant in fitting if grant.role == "admin"), fitting[0])
    return Grant(role=best.role, accounts=tuple(sorted({name for grant in fitting for name in grant.accounts})))


def _name(value: object) -> str:
    """A claim as a name in lists: printable, and not too long."""
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text)[:_LONGEST_NAME].strip()


def _groups(claims: dict[str, Any], path: str) -> frozenset[str]:
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, str):
        return frozenset({found})
    return frozenset(one for one in found if isinstance(one, str)) if isinstance(found, list) else frozenset()
