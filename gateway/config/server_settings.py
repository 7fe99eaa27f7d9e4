"""The `server:` section of the configuration file. Pure: no I/O."""

from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Literal

from gateway.config.price_settings import UsageKept
from gateway.config.section import AsWritten, Bounds, CheckedInContext, section, setting
from gateway.config.setting_types import (
    Days,
    Host,
    Hosts,
    Network,
    Origin,
    PortNumber,
    PublicUrl,
    Seconds,
    SecondsOrZero,
    TimeZone,
)
from gateway.config.sign_in_settings import SignIn

if TYPE_CHECKING:
    from pydantic import ValidationInfo

_HERE = ("127.0.0.1",)


def _off(value: object) -> object:
    """YAML reads a plain `off` as false."""
    return "off" if value is False else value


ShownTo = Annotated[Literal["loopback", "everyone", "off"], AsWritten(_off)]


@section
class ServerLimits:
    """What a request may measure."""

    body_bytes: Annotated[int, Bounds(ge=1, le=4 * 1024**3)] = setting(
        default=64 * 1024 * 1024, description="Largest request body accepted, in bytes; a larger one is answered 413."
    )
    connections: Annotated[int, Bounds(ge=1, le=65536)] | None = setting(
        default=None,
        description="Requests that have a slot of one upstream at a time; where left out, as many as it has slots "
        "(`total_slots` of its `/props`), or 256 if it does not say.",
    )
    waiting: Annotated[int, Bounds(ge=0, le=65536)] = setting(
        default=256,
        description="Requests that wait for a place at one upstream; with one more, the last in line is answered 503.",
    )


@section
class ServerTimeouts:
    """How long the gateway waits, in seconds. An answer as a whole has no limit."""

    connect: Seconds = setting(default=5.0, description="Seconds to establish a connection to an upstream.")
    first_byte: Seconds = setting(
        default=600.0, description="Seconds from the request's last byte to the answer's first."
    )
    silence: Seconds = setting(default=600.0, description="Longest pause between two bytes of an answer, in seconds.")
    queue: Seconds = setting(
        default=300.0,
        description="Seconds that a request waits for a place at an upstream; then it is answered 503.",
    )
    longest_wait: Seconds = setting(
        default=30.0,
        description="Seconds that a key waits for a place at an upstream until it gets the next one, whatever others "
        "have had.",
    )
    upload_silence: Seconds = setting(
        default=60.0, description="Longest pause between two bytes of a request body, in seconds."
    )
    before_drain: SecondsOrZero = setting(
        default=0.0,
        description="Seconds that requests are served on once the gateway is told to stop, while `/readyz` says 503.",
    )
    drain: SecondsOrZero = setting(
        default=30.0, description="Seconds that running answers get to finish once the gateway is told to stop."
    )
    keepalive: Seconds = setting(default=75.0, description="Seconds that an idle client connection is kept open.")
    dead_peer: Seconds = setting(
        default=30.0,
        description="Seconds of silence at TCP's level after which a client or an upstream that vanished, without "
        "closing its connection, is taken for gone.",
    )


@section
class Log:
    """What is written to standard error."""

    format: Literal["auto", "human", "json"] = setting(
        default="auto", description="`human`, `json`, or `auto`: human on a terminal, JSON otherwise."
    )
    level: Literal["debug", "info", "warning", "error"] = setting(
        default="info", description="The least severe level that is written."
    )


@section
class Probes:
    """How upstreams are asked for their health."""

    interval: Seconds = setting(
        default=5.0,
        description="Seconds between two probes of a healthy upstream; longer where that would be more than 500 probes "
        "a second. One that is not healthy is probed again after "
        "0.1 s, and then after twice as long each time, up to this.",
    )
    timeout: Seconds = setting(default=2.0, description="Seconds within which a probe must be answered.")
    unreachable_after: Seconds = setting(
        default=30.0,
        description="Seconds for which probes of an upstream have timed out, and no answer has brought a byte, after "
        "which new requests are answered 502 at once; until a probe is answered again.",
    )


@section
class Admin:
    """A port for the operator alone: status page, `/metrics`, `/healthz` and `/readyz`."""

    host: Hosts = setting(
        default=_HERE, description="Address to listen on, or a list of them.", schema={"default": _HERE[0]}
    )
    port: PortNumber = setting(
        description="TCP port of the status page and `/metrics`, which `server.port` no longer serves then."
    )
    public_url: PublicUrl | None = setting(
        default=None,
        description="Where people reach the pages on this port, like `https://ops.example.org`, for links to them; "
        "where left out, it is what the browser has asked for.",
    )


def _another_port(admin: Admin | None, info: "ValidationInfo") -> Admin | None:
    hosts, port = info.data.get("host", ()), info.data.get("port", 0)
    if admin is not None and admin.port == port != 0 and _overlap(admin.host, hosts):
        raise ValueError("has the port of `server.port`; give it one of its own")
    return admin


def _overlap(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    everywhere = {"0.0.0.0", "::"}  # noqa: S104  what somebody else has configured
    return not everywhere.isdisjoint({*some, *others}) or not set(some).isdisjoint(others)


@section
class Server:
    """The gateway itself. Most changes here take effect at the next start."""

    host: Hosts = setting(
        default=_HERE,
        description="Address to listen on, or a list of them; `0.0.0.0` is every IPv4 one, `::` every one of both "
        "families.",
        schema={"default": _HERE[0]},
    )
    port: PortNumber = setting(default=8080, description="TCP port to listen on; 0 takes any free one.")
    public_url: PublicUrl | None = setting(
        default=None,
        description="Where clients reach the gateway, like `https://llm.example.org`, for links and base URLs on its "
        "pages; where left out, it is what the browser has asked for.",
    )
    admin: Annotated[Admin | None, CheckedInContext(_another_port)] = setting(
        default=None, description="A port for the operator alone."
    )
    limits: ServerLimits = setting(default=ServerLimits(), description="What a request may measure.")
    timeouts: ServerTimeouts = setting(default=ServerTimeouts(), description="How long the gateway waits, in seconds.")
    log: Log = setting(default=Log(), description="What is written to standard error.")
    probes: Probes = setting(default=Probes(), description="How upstreams are asked for their health.")
    status_page: ShownTo = setting(
        default="loopback",
        description="Who may see the status page: `loopback` (this machine), `everyone`, or nobody (`off`).",
    )
    metrics: ShownTo = setting(
        default="loopback", description="Who may read `/metrics`: `loopback` (this machine), `everyone`, or nobody."
    )
    sign_in: SignIn = setting(default=SignIn(), description="How people sign in to the team's pages, and for how long.")
    cors_origins: tuple[Origin, ...] = setting(
        default=(),
        description="Origins whose web pages may call deployments, like `https://app.example.org`; "
        "`http://localhost:*` is every port, `*` every origin. None by default.",
    )
    anthropic_errors: bool = setting(
        default=False,
        description="Whether refusals on `/v1/messages` and below come in Anthropic's envelope, "
        '`{"type": "error", "error": {…}}`, as some SDKs demand.',
    )
    workers: Annotated[int, Bounds(ge=1, le=64)] = setting(
        default=1,
        description="Processes that serve the port together; the limits on an upstream hold for all of them together.",
    )
    audit_days: Days = setting(
        default=365, description="Days for which the team's audit log is kept; with a database only."
    )
    time_zone: TimeZone = setting(
        default="UTC",
        description="Where days and months begin, for limits and usage: a name like `Europe/Berlin`.",
    )
    usage: UsageKept = setting(
        default=UsageKept(), description="What is kept of who used how much; with a database only."
    )
    trusted_proxies: tuple[Network, ...] = setting(
        default=(),
        description="Addresses or networks of proxies in front, whose `X-Forwarded-For` names the client: in the log, "
        "for keys of some networks, and where sign-ins are slowed.",
    )
    status_page_hosts: tuple[Host, ...] = setting(
        default=(), description="Host names, besides loopback's own, under which the status page and `/metrics` answer."
    )

    @property
    def pages_url(self) -> str | None:
        """Where people reach the pages, if the settings say so: with the clients, or on a port of their own."""
        return self.public_url if self.admin is None else self.admin.public_url


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
