"""A registry that is a YAML file: it is read like a database, and changed by its editor only."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from gateway.cli.client.team_client import TeamClient
from gateway.core.account import Key as StoredKey
from gateway.core.deployment import Deployment as StoredDeployment
from gateway.registry.base import ChangeError, Snapshot
from gateway.team.models.accounts import Account
from gateway.team.models.common import Page
from gateway.team.models.deployments import Deployment, LimitsShown, TimeoutsShown
from gateway.team.models.keys import Key


class FileClient(TeamClient):
    """Lists what a file holds. `name` is the file's, for the sentence that says why nothing can be changed."""

    def __init__(self, name: str, snapshot: Snapshot) -> None:
        self._name = name
        self._snapshot = snapshot

    async def perform(
        self,
        name: str,
        *ids: str,
        request: BaseModel | None = None,
        expected_version: int | None = None,
        make_account: str | None = None,
    ) -> Any:
        """See `TeamClient`. Raises ChangeError for all but three lists."""
        account = getattr(request, "account", None)
        match name:
            case "accounts.list":
                accounts = self._snapshot.accounts.values()
                return _page(Account(id=one.id, created_at=one.created_at) for one in accounts)
            case "keys.list":
                return _page(_key(one) for one in self._snapshot.keys.values() if account in {None, one.account})
            case "deployments.list":
                served = self._snapshot.deployments.values()
                return _page(_deployment(one) for one in served if account in {None, one.account})
        raise ChangeError(_refusal(self._name, name))


def _refusal(file: str, operation: str) -> str:
    moved = f"a database: gguf-gateway import {file} --database gateway.db"
    if operation.partition(".")[0] in {"accounts", "keys", "deployments"}:
        return (
            f"{file} holds its accounts itself: edit it (a running gateway follows within a second), or "
            f"move them into {moved}"
        )
    return f"{file} holds its accounts itself, and no people, tokens, usage or audit log: they need {moved}"


def _page(items: Iterable[Any]) -> Page[Any]:
    return Page(items=sorted(items, key=lambda one: one.id))


def _key(key: StoredKey) -> Key:
    return Key(
        id=key.id,
        name=key.name,
        account=key.account,
        state=key.state(datetime.now(UTC)),
        prefix=None,
        created_at=key.created_at,
        created_by=None,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=None,
        enabled=key.enabled,
        deployments=key.deployments,
        endpoints=key.endpoints,
        networks=key.networks,
        successor_of=key.successor_of,
        version=1,
    )


def _deployment(one: StoredDeployment) -> Deployment:
    timeouts, limits = one.timeouts, one.limits
    return Deployment(
        id=one.id,
        account=one.account,
        upstream=one.upstream,
        has_upstream_key=one.upstream_key is not None,
        status=one.status,
        timeouts=TimeoutsShown(
            connect=timeouts.connect, first_byte=timeouts.first_byte, silence=timeouts.silence, queue=timeouts.queue
        ),
        limits=LimitsShown(connections=limits.connections, waiting=limits.waiting),
        ping=one.ping,
        ca_file=one.ca_file,
        endpoints=one.endpoints,
        created_at=None,
        updated_at=None,
        version=1,
    )
