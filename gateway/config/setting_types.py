"""The kinds of value a setting may be, each refused in words for who wrote it. Pure, but that a `ca_file` is read."""

import os
import re
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gateway.config.section import AsWritten, Bounds, Checked, CheckedInContext
from gateway.core.deployment import ID_PATTERN, check_id, check_upstream, check_upstream_key
from gateway.core.endpoints import EndpointGroup
from gateway.core.http.cors import checked_origin
from gateway.core.http.forwarding import parsed_network

if TYPE_CHECKING:
    from pydantic import ValidationInfo

_DAY = 86_400.0
_MOST_PEM_BYTES = 16 * 1024 * 1024  # the system's authorities are 0.2 MB; a model would be read to its end
# Scheme, name or address, and perhaps a port and a path, none of which needs escaping anywhere.
_PUBLIC_URL = re.compile(
    r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[1-9][0-9]{0,4})?(?:/[A-Za-z0-9._~-]+)*"
).fullmatch


def check_key_text(value: str) -> str:
    """Return the text of a key. Raises ValueError, without quoting it."""
    if len(value) < 8 or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("a key is at least 8 printable ASCII characters without spaces (it travels in a header)")
    return value


def _digest(value: str) -> str:
    if len(value) != 64 or set(value) - set("0123456789abcdefABCDEF"):
        raise ValueError("is not a SHA-256: 64 hexadecimal digits, as `gguf-gateway hash-key` prints them")
    return value.lower()


def check_label(value: str) -> str:
    """Return what a key may be called. Raises ValueError, in words for the person who wrote it."""
    if not 1 <= len(value) <= 64 or not value.isprintable() or value != value.strip():
        raise ValueError("a name is 1 to 64 printable characters, with no space at either end")
    return value


def _host(value: str) -> str:
    if not 1 <= len(value) <= 253 or not value.isascii() or not value.isprintable() or " " in value or "/" in value:
        raise ValueError("a host is a name or an address, like 127.0.0.1")
    return value


def _one_or_several(value: object) -> object:
    """One host as a list of one. Its own error stands at the setting, not at an entry that nobody wrote."""
    if isinstance(value, bool | int | float | dict):
        raise ValueError("must be text; put it in quotes, or make it a list of such")
    return (_host(value),) if isinstance(value, str) else value


def _at_least_one(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("names no address; the default is 127.0.0.1")
    return value


def _network(value: str) -> str:
    """Bits beyond the prefix are refused: they tell of a slip."""
    try:
        return str(parsed_network(value))
    except ValueError:
        raise ValueError("is neither an address nor a network like 10.0.0.0/8, with no bit beyond its prefix") from None


def _pem_file(value: str, info: "ValidationInfo") -> str:
    """The whole path of a file. A relative one starts at the `folder` of the validation's context, or else here."""
    path = str(Path((info.context or {}).get("folder", ""), value).absolute())
    try:
        path.encode()  # as a database keeps it
        found = os.stat(path)
        is_file = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)  # what a folder is, opening it says
        if not is_file or found.st_size > _MOST_PEM_BYTES:  # a pipe is waited for, for ever
            raise ssl.SSLError
        ssl.create_default_context(cafile=path)
    except UnicodeEncodeError:
        raise ValueError("must be the path of a file, in UTF-8") from None
    except ssl.SSLError as error:
        raise ValueError("is not a PEM certificate file") from error
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    return path


def _database(value: str) -> str:
    if not value or not value.isprintable():
        raise ValueError("must be a database URL, like sqlite+aiosqlite:///gateway.db")
    return value


def _each_once(groups: tuple[EndpointGroup, ...]) -> tuple[EndpointGroup, ...]:
    """In the order of the groups, so that two ways of writing the same are equal."""
    if not groups:
        raise ValueError("must name at least one group")
    if len(set(groups)) < len(groups):
        raise ValueError("names a group twice")
    return tuple(group for group in EndpointGroup if group in groups)


def moment(value: object) -> datetime:
    """A point in time in UTC, from ISO 8601 text. Raises ValueError without a time zone."""
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(when, datetime) and when.tzinfo is not None:
            return when.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be a date and time with its time zone, like 2027-01-01T00:00:00Z")


def _public_url(value: str) -> str:
    if _PUBLIC_URL(value.rstrip("/")) is None:
        raise ValueError("must be where clients reach the gateway, like https://llm.example.org, perhaps with a path")
    return value.rstrip("/")


def _time_zone(value: str) -> str:
    from zoneinfo import ZoneInfo  # a gateway that serves has been told what it is

    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, OSError):  # unknown, no name at all, or a folder of names
        raise ValueError("is not the name of a time zone, like Europe/Berlin") from None


Id = Annotated[str, Checked(check_id, {"pattern": ID_PATTERN})]
Seconds = Annotated[float, Bounds(gt=0, le=_DAY)]
SecondsOrZero = Annotated[float, Bounds(ge=0, le=_DAY)]
PortNumber = Annotated[int, Bounds(ge=0, le=65535)]
Days = Annotated[int, Bounds(ge=1, le=36_500)]
Origin = Annotated[str, Checked(checked_origin)]
PublicUrl = Annotated[str, Checked(_public_url)]
TimeZone = Annotated[str, Checked(_time_zone)]
Host = Annotated[str, Checked(_host)]
Hosts = Annotated[
    tuple[Host, ...],
    AsWritten(_one_or_several),
    Checked(_at_least_one, {"type": ["string", "array"], "minItems": 1}),
]
Network = Annotated[str, Checked(_network)]
CaFile = Annotated[str, CheckedInContext(_pem_file)]
Database = Annotated[str, Checked(_database)]
Label = Annotated[str, Checked(check_label)]
KeyText = Annotated[str, Checked(check_key_text)]
Digest = Annotated[str, Checked(_digest, {"pattern": "^[0-9a-fA-F]{64}$"})]
Moment = Annotated[datetime, AsWritten(moment)]
EndpointGroups = Annotated[tuple[EndpointGroup, ...], Checked(_each_once, {"minItems": 1, "uniqueItems": True})]
Upstream = Annotated[str, Checked(check_upstream)]
UpstreamKey = Annotated[str, Checked(check_upstream_key)]
