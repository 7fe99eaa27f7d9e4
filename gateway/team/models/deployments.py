"""Deployments, as operations take and give them."""

from typing import Annotated, Any

from pydantic import Field, SecretStr

from gateway.config.section import NO_BOOL
from gateway.config.setting_types import CaFile, EndpointGroups, Id, Seconds, Upstream
from gateway.config.settings import DeploymentEntry
from gateway.core.deployment import Status
from gateway.core.endpoints import EndpointGroup
from gateway.team.models.common import Answer, Moment, PageQuery, Request

_Count = Annotated[int, Field(le=65536), NO_BOOL]


class NewDeployment(DeploymentEntry):
    """A deployment to be made: as in the configuration file, and its id."""

    id: Id = Field(description="Its id, which is part of its base URL.")


class TimeoutsChange(Request):
    """Limits of one deployment, in seconds; null is the server's default."""

    connect: Seconds | None = Field(default=None, description="To establish a connection to the upstream.")
    first_byte: Seconds | None = Field(default=None, description="From the request's last byte to the answer's first.")
    silence: Seconds | None = Field(default=None, description="Between two bytes of the answer.")
    queue: Seconds | None = Field(default=None, description="In line for a connection.")


class LimitsChange(Request):
    """How much of one upstream is used at a time; null is the server's default."""

    connections: Annotated[_Count, Field(ge=1)] | None = Field(default=None, description="Requests there at a time.")
    waiting: Annotated[_Count, Field(ge=0)] | None = Field(default=None, description="Requests that may wait.")


class DeploymentChange(Request):
    """What is to be different about a deployment. What is left out stays; null gives a setting its default again."""

    account: Id | None = Field(default=None, description="The account it belongs to.")
    upstream: Upstream | None = Field(default=None, description="Where its llama-server listens.")
    upstream_key: SecretStr | None = Field(default=None, description="The llama-server's own API key.")
    status: Status | None = Field(default=None, description="`auto`, or pinned: `deploying`, `ready`, `paused`.")
    timeouts: TimeoutsChange = Field(default=TimeoutsChange(), description="Limits in seconds.")
    limits: LimitsChange = Field(default=LimitsChange(), description="How much of its upstream is used at a time.")
    ping: Seconds | None = Field(default=None, description="Silence in seconds after which a stream is kept alive.")
    ca_file: CaFile | None = Field(default=None, description="PEM file to verify an https upstream with.")
    endpoints: EndpointGroups | None = Field(default=None, description="Which groups its clients may call.")


class DeploymentQuery(PageQuery):
    """Which deployments are listed."""

    account: Id | None = Field(default=None, description="Only this account's.")
    search: str | None = Field(
        default=None, min_length=1, max_length=64, description="Only those with this in their id."
    )


class TimeoutsShown(Answer):
    """In seconds; null is the server's default."""

    connect: float | None
    first_byte: float | None
    silence: float | None
    queue: float | None


class LimitsShown(Answer):
    """Null is the server's default."""

    connections: int | None
    waiting: int | None


class Deployment(Answer):
    """A deployment. Its llama-server's key is never shown, only whether it is set.

    `upstream` is null for who may not change it. `readiness` is what clients meet now, as the gateway that answers
    sees it; null where none is asked. `created_at` and `updated_at` are null where the registry is a file.
    """

    id: str
    account: str
    upstream: str | None
    has_upstream_key: bool
    status: Status
    readiness: str | None = None
    timeouts: TimeoutsShown
    limits: LimitsShown
    ping: float | None
    ca_file: str | None
    endpoints: tuple[EndpointGroup, ...]
    created_at: Moment | None
    updated_at: Moment | None
    version: int


Columns = dict[str, Any]
