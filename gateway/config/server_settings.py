"""The `server:` section of the configuration file. Pure: no I/O."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from gateway.config.price_settings import UsageKept
from gateway.config.setting_types import (
    NO_BOOL,
    Host,
    Hosts,
    Model,
    Network,
    Origin,
    PublicUrl,
    Seconds,
    SecondsOrZero,
    TimeZone,
)
from gateway.config.sign_in_settings import SignIn


def _off(value: object) -> object:
    """YAML reads a plain `off` as false."""
    return "off" if value is False else value


ShownTo = Annotated[Literal["loopback", "everyone", "off"], BeforeValidator(_off)]


class ServerLimits(Model):
    """What a request may measure."""

    body_bytes: Annotated[int, Field(ge=1, le=4 * 1024**3), NO_BOOL] = Field(
        default=64 * 1024 * 1024, description="Largest request body accepted, in bytes; a larger one is answered 413."
    )
    connections: Annotated[int, Field(ge=1, le=65536), NO_BOOL] | None = Field(
        default=None,
        description="Requests that have a slot of one upstream at a time; where left out, as many as it has slots "
        "(`total_slots` of its `/props`), or 256 if it does not say.",
    )
    waiting: Annotated[int, Field(ge=0, le=65536), NO_BOOL] = Field(
        default=256,
        description="Requests that wait for a place at one upstream; one more is answered 503 at once.",
    )


class ServerTimeouts(Model):
    """How long the gateway waits, in seconds. An answer as a whole has no limit."""

    connect: Seconds = Field(default=5.0, description="Seconds to establish a connection to an upstream.")
    first_byte: Seconds = Field(
        default=600.0, description="Seconds from the request's last byte to the answer's first."
    )
    silence: Seconds = Field(default=600.0, description="Longest pause between two bytes of an answer, in seconds.")
    queue: Seconds = Field(
        default=300.0,
        description="Seconds that a request waits for a place at an upstream; then it is answered 503.",
    )
    longest_wait: Seconds = Field(
        default=30.0,
        description="Seconds that a key waits for a place at an upstream until it gets the next one, whatever others "
        "have had.",
    )
    upload_silence: Seconds = Field(
        default=60.0, description="Longest pause between two bytes of a request body, in seconds."
    )
    before_drain: SecondsOrZero = Field(
        default=0.0,
        description="Seconds that requests are served on once the gateway is told to stop, while `/readyz` says 503.",
    )
    drain: SecondsOrZero = Field(
        default=30.0, description="Seconds that running answers get to finish once the gateway is told to stop."
    )
    keepalive: Seconds = Field(default=75.0, description="Seconds that an idle client connection is kept open.")
    dead_peer: Seconds = Field(
        default=30.0,
        description="Seconds of silence at TCP's level after which a client or an upstream that vanished, without "
        "closing its connection, is taken for gone.",
    )


class Log(Model):
    """What is written to standard error."""

    format: Literal["auto", "human", "json"] = Field(
        default="auto", description="`human`, `json`, or `auto`: human on a terminal, JSON otherwise."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level that is written."
    )


class Probes(Model):
    """How upstreams are asked for their health."""

    interval: Seconds = Field(
        default=5.0,
        description="Seconds between two probes of a healthy upstream; longer where that would be more than 500 probes "
        "a second. One that is not healthy is probed again after "
        "0.1 s, and then after twice as long each time, up to this.",
    )
    timeout: Seconds = Field(default=2.0, description="Seconds within which a probe must be answered.")
    unreachable_after: Seconds = Field(
        default=30.0,
        description="Seconds for which probes of an upstream have timed out, and no answer has brought a byte, after "
        "which new requests are answered 502 at once; until a probe is answered again.",
    )


class Admin(Model):
    """A port for the operator alone: status page, `/metrics`, `/healthz` and `/readyz`."""

    host: Hosts = Field(
        default="127.0.0.1", validate_default=True, description="Address to listen on, or a list of them."
    )
    port: Annotated[int, Field(ge=0, le=65535), NO_BOOL] = Field(
        description="TCP port of the status page and `/metrics`, which `server.port` no longer serves then."
    )
    public_url: PublicUrl | None = Field(
        default=None,
        description="Where people reach the pages on this port, like `https://ops.example.org`, for links to them; "
        "where left out, it is what the browser has asked for.",
    )


class Server(Model):
    """The gateway itself. Most changes here take effect at the next start."""

    host: Hosts = Field(
        default="127.0.0.1",
        validate_default=True,
        description="Address to listen on, or a list of them; `0.0.0.0` is every IPv4 one, `::` every one of both "
        "families.",
    )
    port: Annotated[int, Field(ge=0, le=65535), NO_BOOL] = Field(
        default=8080, description="TCP port to listen on; 0 takes any free one."
    )
    public_url: PublicUrl | None = Field(
        default=None,
        description="Where clients reach the gateway, like `https://llm.example.org`, for links and base URLs on its "
        "pages; where left out, it is what the browser has asked for.",
    )
    admin: Admin | None = Field(default=None, description="A port for the operator alone.")
    limits: ServerLimits = Field(default=ServerLimits(), description="What a request may measure.")
    timeouts: ServerTimeouts = Field(default=ServerTimeouts(), description="How long the gateway waits, in seconds.")
    log: Log = Field(default=Log(), description="What is written to standard error.")
    probes: Probes = Field(default=Probes(), description="How upstreams are asked for their health.")
    status_page: ShownTo = Field(
        default="loopback",
        description="Who may see the status page: `loopback` (this machine), `everyone`, or nobody (`off`).",
    )
    metrics: ShownTo = Field(
        default="loopback", description="Who may read `/metrics`: `loopback` (this machine), `everyone`, or nobody."
    )
    sign_in: SignIn = Field(default=SignIn(), description="How people sign in to the team's pages, and for how long.")
    cors_origins: tuple[Origin, ...] = Field(
        default=(),
        description="Origins whose web pages may call deployments, like `https://app.example.org`; "
        "`http://localhost:*` is every port, `*` every origin. None by default.",
    )
    anthropic_errors: bool = Field(
        default=False,
        description="Whether refusals on `/v1/messages` and below come in Anthropic's envelope, "
        '`{"type": "error", "error": {…}}`, as some SDKs demand.',
    )
    workers: Annotated[int, Field(ge=1, le=64), NO_BOOL] = Field(
        default=1,
        description="Processes that serve the port together; the limits on an upstream hold for all of them together.",
    )
    audit_days: Annotated[int, Field(ge=1, le=36_500), NO_BOOL] = Field(
        default=365, description="Days for which the team's audit log is kept; with a database only."
    )
    time_zone: TimeZone = Field(
        default="UTC",
        description="Where days and months begin, for limits and usage: a name like `Europe/Berlin`.",
    )
    usage: UsageKept = Field(
        default=UsageKept(), description="What is kept of who used how much; with a database only."
    )
    trusted_proxies: tuple[Network, ...] = Field(
        default=(),
        description="Addresses or networks of proxies in front, whose `X-Forwarded-For` names the client in the log.",
    )
    status_page_hosts: tuple[Host, ...] = Field(
        default=(), description="Host names, besides loopback's own, under which the status page and `/metrics` answer."
    )

    @field_validator("admin")
    @classmethod
    def _another_port(cls, admin: Admin | None, info: ValidationInfo) -> Admin | None:
        hosts, port = info.data.get("host", ()), info.data.get("port", 0)
        if admin is not None and admin.port == port != 0 and _overlap(admin.host, hosts):
            raise ValueError("has the port of `server.port`; give it one of its own")
        return admin

    @property
    def pages_url(self) -> str | None:
        """Where people reach the pages, if the settings say so: with the clients, or on a port of their own."""
        return self.public_url if self.admin is None else self.admin.public_url


def _overlap(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    everywhere = {"0.0.0.0", "::"}  # noqa: S104  what somebody else has configured
    return not everywhere.isdisjoint({*some, *others}) or not set(some).isdisjoint(others)
