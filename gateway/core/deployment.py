"""What a caller names in the URL, and what may be behind it. Pure: no I/O."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from gateway.core.endpoints import DEFAULT_GROUPS, EndpointGroup

# A deployment's id is a path segment of a URL: nothing in it ever needs escaping.
ID_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$"
_ID = re.compile(ID_PATTERN)
_LONGEST_SOCKET_PATH = 100  # sun_path holds 104 bytes on macOS, 108 on Linux
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class Status(StrEnum):
    """What the registry says of a deployment. All but `auto` are pinned: they hold whatever a probe sees."""

    AUTO = "auto"
    DEPLOYING = "deploying"
    READY = "ready"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one exchange with an upstream, in seconds. A stream as such has no limit.

    `connect`: until the connection is established. `first_byte`: from the request's last byte to the answer's first.
    `silence`: between two bytes of the answer. `queue`: in line for a place when all are in use. `longest_wait`: of a
    key in that line, until it is served whatever others have had.
    """

    connect: float = 5.0
    first_byte: float = 600.0
    silence: float = 600.0
    queue: float = 300.0
    longest_wait: float = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of an upstream is used at a time: `connections` for its slots, and requests `waiting` for one of them.

    Where `connections` is None, there are as many as the upstream says it has slots.
    """

    connections: int | None = None
    waiting: int = 256


@dataclass(frozen=True, slots=True)
class Deployment:
    """A llama-server that an account may call. `upstream_key` is the gateway's own credential there.

    `ping` is the silence in seconds after which a stream that has begun is kept alive by the gateway; None: never.
    `ca_file` (PEM) is what an https upstream is verified against, instead of the system's authorities.
    `endpoints` are the groups that are enabled.
    """

    id: str
    account: str
    upstream: str
    upstream_key: str | None = field(default=None, repr=False)
    status: Status = Status.AUTO
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    ping: float | None = None
    ca_file: str | None = None
    endpoints: tuple[EndpointGroup, ...] = DEFAULT_GROUPS


def is_id(value: str) -> bool:
    """Whether this could be a deployment's id."""
    return _ID.fullmatch(value) is not None


def check_id(value: str) -> str:
    """Return a well-formed deployment id.

    Raises ValueError, in words for the person who wrote it.
    """
    if not is_id(value):
        raise ValueError(
            "use 1 to 64 letters, digits, dots, underscores or hyphens, beginning and ending with a letter or digit"
        )
    return value


def check_upstream(value: str) -> str:
    """Return the URL of an upstream, without a trailing slash: `http[s]://host[:port]`, or `unix:/path/of/socket`.

    Raises ValueError, in words for the person who wrote it. A user or password in it is refused (that is what
    `upstream_key` is for), and so is a path: the gateway's table alone decides what is called there.
    """
    if not _PRINTABLE.fullmatch(value):
        raise ValueError("an upstream is a plain URL like http://127.0.0.1:9931, with no space or control character")
    if value.startswith("unix:"):
        return _check_socket(value)
    parts = _split(value)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("an upstream begins with http://, https:// or unix:/")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an upstream carries no user or password; put its key in upstream_key")
    if parts.path.rstrip("/") or parts.query or parts.fragment:
        raise ValueError("an upstream is a host and a port only, with no path, query or fragment")
    if not parts.hostname or len(parts.hostname) > 253:
        raise ValueError("an upstream names a host of at most 253 characters")
    if _port(value) == 0:
        raise ValueError("port 0 is not valid")
    return f"{parts.scheme}://{parts.netloc}"


def _check_socket(value: str) -> str:
    path = value.removeprefix("unix:")
    if not path.startswith("/") or len(path) > _LONGEST_SOCKET_PATH:
        raise ValueError(
            "a Unix socket is named by its whole path of at most 100 characters, like unix:/run/llama.sock"
        )
    return value


def check_upstream_key(value: str) -> str:
    """Return a key that a header may hold. Raises ValueError, without quoting it."""
    if not _PRINTABLE.fullmatch(value):
        raise ValueError("an upstream key is printable ASCII without spaces (it travels in a header)")
    return value


def _split(value: str) -> SplitResult:
    try:
        return urlsplit(value)
    except ValueError:
        # Not as the cause: its words quote the value, which may hold a password.
        raise ValueError("an upstream's host in brackets is an IPv6 address, like http://[::1]:9931") from None


def _port(value: str) -> int | None:
    try:
        return urlsplit(value).port
    except ValueError as error:
        raise ValueError("the port of an upstream is a number from 1 to 65535") from error
