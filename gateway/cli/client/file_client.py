"""A registry that is a YAML file: it is read like a database, and changed by its editor only."""

import contextlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from gateway.cli.client.team_client import TeamClient
from gateway.config.settings import Settings
from gateway.core.deployment import Deployment as StoredDeployment
from gateway.registry.base import ChangeError
from gateway.registry.file_content import content_of
from gateway.registry.yaml_file import YamlRegistry
from gateway.team.models.accounts import Account
from gateway.team.models.common import Page
from gateway.team.models.deployments import Deployment, LimitsShown, TimeoutsShown
from gateway.team.models.limits import Limit, LimitQuery
from gateway.team.operations import keys
from gateway.team.operations.traffic import limits
from gateway.usage.limits.arithmetic.counting import LimitStanding
from gateway.usage.limits.rate_limiter import look_from_outside


class FileClient(TeamClient):
    """Lists what the file at `path` holds, which is read already; and says why nothing of it can be changed."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._zone = ZoneInfo(settings.server.time_zone)
        self._snapshot = content_of(settings).snapshot()

    async def perform(
        self,
        name: str,
        *ids: str,
        request: BaseModel | None = None,
        expected_version: int | None = None,
        make_account: str | None = None,
    ) -> Any:
        """See `TeamClient`. Raises ChangeError for all but four lists."""
        account = getattr(request, "account", None)
        match name:
            case "accounts.list":
                accounts = self._snapshot.accounts.values()
                return _page(Account(id=one.id, created_at=None, weight=one.weight) for one in accounts)
            case "keys.list":
                known, now = self._snapshot.keys.values(), datetime.now(UTC)
                return _page(keys.view_of(one, now) for one in known if account in {None, one.account})
            case "deployments.list":
                served = self._snapshot.deployments.values()
                return _page(_deployment(one) for one in served if account in {None, one.account})
            case "limits.list" if isinstance(request, LimitQuery):
                return _page(self._limits(request))
        raise ChangeError(_refusal(self._path, name))

    def _limits(self, query: LimitQuery) -> Iterator[Limit]:
        found = [
            one
            for one in self._snapshot.limits.values()
            if query.kind in {None, one.subject_kind}
            and query.subject in {None, one.subject}
            and query.deployment in {None, one.deployment}
        ]
        standings: list[LimitStanding] | None = None
        with contextlib.suppress(OSError):
            standings = look_from_outside(YamlRegistry(self._path), self._zone, found)
        for index, one in enumerate(found):
            standing = None if standings is None else standings[index]
            yield limits.view_of(one, None, standing)


def _refusal(file: Path, operation: str) -> str:
    moved = f"a database: gguf-gateway import {file} --database gateway.db"
    if operation.partition(".")[0] in {"accounts", "keys", "deployments", "limits"}:
        return (
            f"{file} holds its accounts itself: edit it (a running gateway follows within a second), or "
            f"move them into {moved}"
        )
    return f"{file} holds its accounts itself, and no people, tokens, usage or audit log: they need {moved}"


def _page(items: Iterable[Any]) -> Page[Any]:
    return Page(items=sorted(items, key=lambda one: one.id))


def _deployment(one: StoredDeployment) -> Deployment:
    timeouts = one.timeouts
    return Deployment(
        id=one.id,
        account=one.account,
        upstream=one.upstream,
        has_upstream_key=one.upstream_key is not None,
        status=one.status,
        timeouts=TimeoutsShown(
            connect=timeouts.connect, first_byte=timeouts.first_byte, silence=timeouts.silence, queue=timeouts.queue
        ),
        limits=LimitsShown(connections=one.limits.connections, waiting=one.limits.waiting),
        ping=one.ping,
        ca_file=one.ca_file,
        endpoints=one.endpoints,
        created_at=None,
        updated_at=None,
        version=1,
    )
