"""Who was admitted once is admitted again without a look, until anything that it was decided on has changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest

from gateway.core.account import Key
from gateway.core.deployment import Deployment, Status
from gateway.core.endpoints import ENDPOINTS, endpoint_at
from gateway.core.errors import PAUSED, Refusal
from gateway.core.notifier import Notifier
from gateway.core.secret_text import digest_of
from gateway.proxy.relay import Relay
from gateway.proxy.upstream.connection_pools import ConnectionPools
from gateway.proxy.upstream.health.readiness import Readiness
from gateway.registry.base import Snapshot
from gateway.server import admission as admission_module
from gateway.server.admission import Admission, Admitted, Rejected, RequestedTarget
from gateway.usage.limits.rate_limiter import RateLimiter
from tests.harness.pages.status_pages import NOWHERE, ToldRegistry

KEY = Key("k1", "laptop", "acme", digest_of("gw_admission"))
DEPLOYMENT = Deployment("demo", "acme", NOWHERE, status=Status.READY)
ASKED = RequestedTarget(KEY.digest, "demo", ENDPOINTS["/v1/embeddings"])


class Later(datetime):
    """Two hours from now."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """The time then."""
        return super().now(tz) + timedelta(hours=2)


class Scene:
    """An admission with all that it asks."""

    def __init__(self) -> None:
        self.registry = ToldRegistry()
        self.pools = ConnectionPools()
        self.relay = Relay(1000, 1.0)
        readiness = Readiness(self.pools, Notifier(), 1.0, 1.0)
        limiter = RateLimiter(self.registry, UTC)
        self.admission = Admission(self.registry, readiness, self.pools, self.relay, limiter)
        self.says(KEY, DEPLOYMENT)

    def says(self, key: Key, deployment: Deployment) -> None:
        """Have the registry say so."""
        self.registry.replace(Snapshot.of([key], [deployment]))

    def status(self, asked: RequestedTarget = ASKED) -> int:
        """What a request gets."""
        decision = self.admission.admit(asked)
        return decision.refusal.row.status if isinstance(decision, Rejected) else 200


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_an_admission_is_remembered(scene: Scene) -> None:
    first = scene.admission.admit(ASKED)
    assert isinstance(first, Admitted)
    assert scene.admission.admit(replace(ASKED)) is first


@pytest.mark.parametrize(
    ("key", "deployment", "status"),
    [
        (KEY._replace(revoked_at=datetime.now(UTC)), DEPLOYMENT, 401),
        (KEY._replace(digest=b"another"), DEPLOYMENT, 401),
        (KEY, replace(DEPLOYMENT, account="widgets"), 404),
        (KEY, replace(DEPLOYMENT, id="other"), 404),
        (KEY, replace(DEPLOYMENT, endpoints=()), 404),
        (KEY, replace(DEPLOYMENT, status=Status.PAUSED), 503),
    ],
    ids=["revoked", "gone", "another's", "removed", "not enabled", "paused"],
)
async def test_a_change_of_the_registry_counts_at_once(
    scene: Scene, key: Key, deployment: Deployment, status: int
) -> None:
    assert scene.status() == 200
    scene.says(key, deployment)
    assert scene.status() == status
    scene.says(KEY, DEPLOYMENT)
    assert scene.status() == 200


async def test_a_key_that_expires_is_remembered_until_then(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.says(KEY._replace(expires_at=datetime.now(UTC) + timedelta(hours=1)), DEPLOYMENT)
    first = scene.admission.admit(ASKED)
    assert isinstance(first, Admitted)
    assert scene.admission.admit(ASKED) is first
    monkeypatch.setattr(admission_module, "datetime", Later)
    monkeypatch.setattr(admission_module, "time", lambda: Later.now(UTC).timestamp())
    assert scene.status() == 401


async def test_a_key_of_networks_is_remembered_for_each_address(scene: Scene) -> None:
    scene.says(KEY._replace(networks=("10.0.0.0/8",)), DEPLOYMENT)
    unasked = scene.admission.admit(ASKED)
    assert isinstance(unasked, Rejected)
    assert unasked.wants_address
    assert scene.admission.admit(ASKED) is unasked
    for address in ("10.0.0.1", "10.0.0.2"):
        first = scene.admission.admit(ASKED, address)
        assert isinstance(first, Admitted)
        assert scene.admission.admit(ASKED, address) is first
    assert isinstance(scene.admission.admit(ASKED, "192.0.2.1"), Rejected)
    scene.says(KEY._replace(networks=("192.0.2.0/24",)), DEPLOYMENT)
    assert isinstance(scene.admission.admit(ASKED, "10.0.0.1"), Rejected)
    assert isinstance(scene.admission.admit(ASKED, "192.0.2.1"), Admitted)


async def test_another_upstream_of_a_deployment_has_another_pool(scene: Scene) -> None:
    first = scene.admission.admit(ASKED)
    scene.says(KEY, replace(DEPLOYMENT, upstream="http://127.0.0.1:1"))
    second = scene.admission.admit(ASKED)
    assert isinstance(first, Admitted)
    assert isinstance(second, Admitted)
    assert second.pool is not first.pool


async def test_who_is_turned_away_from_the_pool_is_decided_on_anew(scene: Scene) -> None:
    first = scene.admission.admit(ASKED)
    assert isinstance(first, Admitted)
    first.pool.turn_away(lambda: Refusal(PAUSED, "paused"))
    assert scene.admission.admit(ASKED) is not first
    first.pool.turn_away(None)
    assert scene.status() == 200


async def test_draining_refuses_who_was_admitted(scene: Scene) -> None:
    assert scene.status() == 200
    scene.relay.draining = True
    assert scene.status() == 503


async def test_models_at_one_path_are_not_taken_for_each_other(scene: Scene) -> None:
    for name in ("one", "two"):
        endpoint = endpoint_at(f"/v1/models/{name}")
        assert endpoint is not None
        decision = scene.admission.admit(replace(ASKED, endpoint=endpoint))
        assert isinstance(decision, Admitted)
        assert decision.asked.endpoint is endpoint


async def test_what_is_remembered_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server.admission._MOST_REMEMBERED", 2)
    for path in ("/v1/embeddings", "/v1/rerank", "/v1/completions"):
        assert scene.status(replace(ASKED, endpoint=ENDPOINTS[path])) == 200
    assert len(scene.admission._admitted) == 1
