"""The `server.sign_in:` section: how people sign in to the team's pages, and for how long. Pure: no I/O."""

import re
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from gateway.config.section import Bounds, Checked, section, setting
from gateway.config.setting_types import CaFile, Id, Label

_DAY = 86_400.0
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+").fullmatch
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+").fullmatch  # RFC 6749 3.3


def _domain(value: str) -> str:
    if _DOMAIN(value.lower()) is None:
        raise ValueError("a domain is what stands behind the @ of an e-mail address, like example.org")
    return value.lower()


def check_provider_url(value: str) -> str:
    """Return a URL that secrets may be sent to: https, or this machine. Raises ValueError, without quoting it."""
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be a URL like https://id.example.org")
    parts = urlsplit(value)
    plain = parts.scheme == "http" and parts.hostname is not None and _is_here(parts.hostname)
    if not parts.hostname or parts.username is not None or not (parts.scheme == "https" or plain):
        raise ValueError("must be an https URL like https://id.example.org, with no user in it")
    return value


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _issuer(value: str) -> str:
    if "?" in check_provider_url(value) or "#" in value:
        raise ValueError("has neither query nor fragment; it is what the provider calls its issuer")
    return value


def _scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    if "openid" not in value or any(_SCOPE(scope) is None for scope in value):
        raise ValueError("must be a list of scopes, and `openid` one of them")
    return value


SessionSeconds = Annotated[float, Bounds(ge=60, le=366 * _DAY)]
Given = Annotated[str, Bounds(min_length=1, max_length=2048)]
Domain = Annotated[str, Checked(_domain)]


@section
class Sessions:
    """When a session ends by itself."""

    idle: SessionSeconds = setting(
        default=12 * 3600.0, description="Seconds without a request after which a session ends."
    )
    longest: SessionSeconds = setting(
        default=30 * _DAY, description="Seconds after which a session ends in any case, and its person signs in anew."
    )


@section
class Grant:
    """What somebody is given who signs in, for their e-mail's domain or for a group they are in."""

    role: Literal["admin", "member"] = setting(default="member", description="What they are: `admin` or `member`.")
    accounts: tuple[Id, ...] = setting(default=(), description="The accounts they belong to.")


@section
class OpenIdConnect:
    """The provider of OpenID Connect by which people sign in."""

    issuer: Annotated[str, Checked(_issuer)] = setting(
        description="The provider's issuer, exactly as it writes it; below it is `/.well-known/openid-configuration`."
    )
    client_id: Given = setting(description="What the provider calls this gateway.")
    client_secret: Given | None = setting(
        default=None,
        repr=False,
        description="The gateway's secret at the provider, best as `${NAME}` from the environment; none for a public "
        "client.",
    )
    ca_file: CaFile | None = setting(
        default=None,
        description="PEM file to verify the provider's certificate with, instead of the system's authorities.",
    )
    label: Label = setting(default="OpenID Connect", description="What the button says: `Sign in with …`.")
    scopes: Annotated[tuple[str, ...], Checked(_scopes)] = setting(
        default=("openid", "email", "profile"), description="What the provider is asked for; `openid` always."
    )
    domains: dict[Domain, Grant] = setting(
        default_factory=dict,
        description="What somebody is given at the first sign-in whose verified e-mail address is in a domain.",
    )
    groups: dict[Given, Grant] = setting(
        default_factory=dict, description="What the members of a group are given, anew at each sign-in."
    )
    groups_claim: Given = setting(
        default="groups", description="The claim that lists somebody's groups; a dot goes into an object."
    )
    sign_out: bool = setting(
        default=False,
        description="Whether who signs out here is signed out at the provider, too (RP-Initiated Logout).",
    )


@section
class SignIn:
    """How people sign in to the team's pages, and for how long."""

    sessions: Sessions = setting(default=Sessions(), description="When a session ends by itself.")
    password: bool = setting(default=True, description="Whether people may sign in with a password, too.")
    oidc: OpenIdConnect | None = setting(default=None, description="The provider of OpenID Connect, if there is one.")
