"""The configuration file as models: every setting with its unit, bounds and default. Pure: no I/O.

The JSON Schema of it is `config/gateway.schema.json`, written by `gguf-gateway schema`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from gateway.config import cross_field_rules
from gateway.config.document import Document, counted, field_name
from gateway.config.placeholders import placeholders, refuse_placeholders
from gateway.config.section import Bounds
from gateway.config.server_settings import Server, ServerLimits, ServerTimeouts, is_loopback
from gateway.config.setting_types import (
    CaFile,
    Database,
    Digest,
    EndpointGroups,
    Id,
    KeyText,
    Label,
    Moment,
    Seconds,
    Upstream,
    UpstreamKey,
)
from gateway.config.usage_settings import LimitsEntry, Weight
from gateway.config.validation_messages import add_field_errors
from gateway.config.yaml_reader import read_yaml
from gateway.core.account import Priority
from gateway.core.deployment import Limits, Status, Timeouts
from gateway.core.endpoints import DEFAULT_GROUPS
from gateway.core.secret_text import digest_of


class Model(BaseModel):
    """The base of what becomes part of the registry: frozen, unknown fields forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KeyEntry(Model):
    """A key of an account: its text, or better the SHA-256 of it."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["key"]}, {"required": ["key_sha256"]}]})

    name: Label = Field(description="What logs and lists call the key; another one for each key of the account.")
    key: KeyText | None = Field(
        default=None,
        repr=False,
        description="The key in plain text, for sandboxes: at least 8 printable ASCII characters.",
    )
    key_sha256: Digest | None = Field(
        default=None,
        repr=False,
        description="The SHA-256 of the key, 64 hexadecimal digits; `gguf-gateway hash-key` makes it.",
    )
    expires_at: Moment | None = Field(
        default=None, description="When the key stops working, with time zone; never if it is left out."
    )
    limits: LimitsEntry = Field(default=LimitsEntry(), description="How much the key may use.")
    priority: Priority = Field(
        default=Priority.INTERACTIVE,
        description="How its requests wait for a busy deployment: `batch` takes what no `interactive` one waits for.",
    )
    weight: Weight = Field(default=1.0, description="Its share beside other keys of the account, where requests wait.")

    @model_validator(mode="after")
    def _one_key(self) -> "KeyEntry":
        if (self.key is None) == (self.key_sha256 is None):
            raise ValueError("needs exactly one of `key` and `key_sha256`")
        return self

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the key's text."""
        return digest_of(self.key) if self.key is not None else bytes.fromhex(self.key_sha256 or "")


class AccountEntry(Model):
    """An account: the owner of keys and deployments."""

    keys: tuple[KeyEntry, ...] = Field(default=(), description="The keys that prove the account.")
    limits: LimitsEntry = Field(default=LimitsEntry(), description="How much all its keys together may use.")
    weight: Weight = Field(default=1.0, description="Its share beside other accounts, where requests wait.")


class DeploymentTimeouts(Model):
    """Limits of one deployment, in seconds; the server's where left out."""

    connect: Seconds | None = Field(default=None, description="Seconds to establish a connection to the upstream.")
    first_byte: Seconds | None = Field(
        default=None, description="Seconds from the request's last byte to the answer's first."
    )
    silence: Seconds | None = Field(
        default=None, description="Longest pause between two bytes of an answer, in seconds."
    )
    queue: Seconds | None = Field(
        default=None, description="Seconds that a request waits for a place; then it is answered 503."
    )

    def over(self, server: ServerTimeouts) -> Timeouts:
        """These limits, with the server's where none is set."""
        return Timeouts(
            connect=server.connect if self.connect is None else self.connect,
            first_byte=server.first_byte if self.first_byte is None else self.first_byte,
            silence=server.silence if self.silence is None else self.silence,
            queue=server.queue if self.queue is None else self.queue,
            longest_wait=server.longest_wait,
        )


class DeploymentLimits(Model):
    """How much of one upstream is used at a time; the server's limits where left out."""

    connections: Annotated[int, Bounds(ge=1, le=65536)] | None = Field(
        default=None, description="Requests that have a slot of the upstream at a time."
    )
    waiting: Annotated[int, Bounds(ge=0, le=65536)] | None = Field(
        default=None, description="Requests that wait for a place; with one more, the last in line is answered 503."
    )

    def over(self, server: ServerLimits) -> Limits:
        """These limits, with the server's where none is set."""
        return Limits(
            connections=server.connections if self.connections is None else self.connections,
            waiting=server.waiting if self.waiting is None else self.waiting,
        )


class DeploymentEntry(Model):
    """A llama-server that an account may call under `/api/gguf/{id}`."""

    account: Id = Field(description="The account it belongs to.")
    upstream: Upstream = Field(
        repr=False, description="Where its llama-server listens: `http[s]://host[:port]` or `unix:/path`."
    )
    upstream_key: UpstreamKey | None = Field(
        default=None,
        repr=False,
        description="The llama-server's own API key, if it wants one; best as `${NAME}` from the environment.",
    )
    status: Status = Field(
        default=Status.AUTO, description="`auto` (as its probes see it), or pinned: `deploying`, `ready`, `paused`."
    )
    timeouts: DeploymentTimeouts = Field(
        default=DeploymentTimeouts(), description="Limits of this deployment, in seconds; the server's where left out."
    )
    limits: DeploymentLimits = Field(
        default=DeploymentLimits(),
        description="How much of its upstream is used at a time; the server's where left out.",
    )
    ping: Seconds | None = Field(
        default=None,
        description="Seconds of silence after which a stream that has begun is kept alive; never where left out.",
    )
    ca_file: CaFile | None = Field(
        default=None, description="PEM file to verify an https upstream with, instead of the system's authorities."
    )
    endpoints: EndpointGroups = Field(
        default=DEFAULT_GROUPS,
        description="Which endpoints its clients may call: `native` are llama-server's own, like `/infill`.",
    )


class Settings(Model):
    """The configuration of gguf-gateway: a server, and either a database or accounts with deployments."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["database"], "not": {"required": ["deployments"]}}, {"required": ["accounts"]}]
        }
    )

    server: Server = Field(default=Server(), description="The gateway itself.")
    database: Database | None = Field(
        default=None,
        repr=False,
        description="SQLAlchemy URL of the database that holds accounts and deployments, like sqlite+aiosqlite:///gateway.db.",
    )
    accounts: dict[Id, AccountEntry] = Field(
        default_factory=dict, description="Accounts by name, with their keys; instead of `database`."
    )
    deployments: dict[Id, DeploymentEntry] = Field(
        default_factory=dict, description="Deployments by id, the one in their URL; instead of in `database`."
    )


def parse(
    text: str, source: str, environ: Mapping[str, str], folder: Path = Path(), hosts: Sequence[str] = ()
) -> Settings:
    """Read a configuration file's text. `source` is its name in errors; `environ` fills in `${NAME}`.

    The path of a `ca_file` starts at `folder`, unless it is a whole one. `hosts` are listened on in place
    of the file's.

    Raises SourceError with every error at once, each line as `FILE:LINE: FIELD: sentence`; no value is ever quoted.
    """
    document = read_yaml(text, source, environ)
    cross_field_rules.check_kind(document)
    if document.is_partial:
        document.raise_errors()
    settings = settings_of(document, folder)
    if not all(map(is_loopback, hosts or settings.server.host)):
        refuse_placeholders(document)
    document.raise_errors()
    return settings


def settings_of(document: Document, folder: Path) -> Settings:
    """The settings in a document. Raises SourceError if a field is wrong; a broken rule is only noted in it."""
    cross_field_rules.check_rules(document)
    try:
        return Settings.model_validate(document.value, context={"folder": folder})
    except ValidationError as error:
        add_field_errors(document, error, Settings)
        document.raise_errors()
        raise


def server_with(server: Server, **values: object) -> Server:
    """The server's settings with some others. Raises ValidationError."""
    as_they_are = {one.name: getattr(server, one.name) for one in fields(server)}
    return _server_judge().validate_python({**as_they_are, **values})


@cache
def _server_judge() -> TypeAdapter[Server]:
    """What judges a server's settings alone: it takes 10 ms to make."""
    return TypeAdapter(Server)


def json_schema() -> dict[str, object]:
    """The JSON Schema of the configuration file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}


def warnings(settings: Settings) -> tuple[str, ...]:
    """Warnings for the start, about what is allowed but risky: a sentence each."""
    keys = [(name, key) for name, account in settings.accounts.items() for key in account.keys]
    plain = [f"{name}/{key.name}" for name, key in keys if key.key is not None]
    found = []
    if plain and not all(map(is_loopback, settings.server.host)):
        found.append(
            f"The configuration holds {counted(len(plain), 'key')} as plain text ({', '.join(plain[:3])}) while the "
            "gateway listens beyond this machine: replace each `key` by its `key_sha256` (gguf-gateway hash-key)."
        )
    unfilled = [field_name(path) for path in placeholders(settings.model_dump())]
    if unfilled:
        found.append(
            f"{', '.join(unfilled[:3])}: a placeholder stands where a secret belongs. Whoever knows the template knows "
            "it, and the gateway does not start with it once it listens beyond this machine."
        )
    if settings.database is None and not keys:
        found.append("No key is configured: every request will be answered 401.")
    admin, pages = settings.server.admin, {settings.server.status_page, settings.server.metrics}
    if admin is not None and "loopback" in pages and not all(map(is_loopback, admin.host)):
        found.append(
            "server.admin listens beyond this machine, but the status page or /metrics answer to this machine only: "
            "set server.status_page and server.metrics to `everyone`, or server.admin.host to 127.0.0.1."
        )
    if settings.server.status_page == "everyone":
        found.append("The status page is shown to everyone who can reach the gateway.")
    if "*" in settings.server.cors_origins:
        found.append("Web pages of every origin may call the gateway with a key (server.cors_origins).")
    return tuple(found)
