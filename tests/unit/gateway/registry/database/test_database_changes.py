"""Changes: keys that are rotated and revoked, deployments, imports."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.settings import DeploymentLimits, DeploymentTimeouts, parse
from gateway.core.deployment import Limits, Status, Timeouts
from gateway.core.secret_text import digest_of
from gateway.registry.base import ChangeError
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.database.rows import Defaults
from gateway.team.import_settings import Imported
from tests.harness.storage.changes import Changes
from tests.harness.storage.databases import DEMO, IMPORTED, rows
from tests.harness.storage.registries import accepts, in_force, opened


async def test_a_rotated_key_leaves_a_successor_and_runs_out(path: Path, change: Changes) -> None:
    old, old_text = await change.create_key("acme", "laptop")
    new, new_text, ending = await change.rotate_key(old.id)
    assert (new.name, new.account, new.successor_of, new.expires_at) == ("laptop", "acme", old.id, None)
    assert ending.expires_at is not None
    assert timedelta(hours=23, minutes=59) < ending.expires_at - datetime.now(UTC) <= timedelta(hours=24)
    async with opened(SqlRegistry(str(path))) as registry:
        assert accepts(registry, old_text)
        assert accepts(registry, new_text)
        later = datetime.now(UTC) + timedelta(hours=24)
        assert registry.snapshot.key(digest_of(old_text), later) is None
        assert registry.snapshot.key(digest_of(new_text), later) is not None


async def test_without_grace_the_old_key_ends_at_once(path: Path, change: Changes) -> None:
    old, old_text = await change.create_key("acme", "laptop")
    await change.rotate_key(old.id, timedelta(0))
    async with opened(SqlRegistry(str(path))) as registry:
        assert not accepts(registry, old_text)


async def test_rotating_never_lengthens_a_life(change: Changes) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    old, _ = await change.create_key("acme", "laptop", soon)
    new, _, ending = await change.rotate_key(old.id)
    assert ending.expires_at == soon
    assert new.expires_at is not None
    assert abs(new.expires_at - soon) < timedelta(seconds=10)


async def test_only_a_living_key_can_be_rotated_and_only_once(change: Changes) -> None:
    old, _ = await change.create_key("acme", "laptop")
    new, _, _ = await change.rotate_key(old.id)
    with pytest.raises(ChangeError, match="was rotated before"):
        await change.rotate_key(old.id)
    await change.revoke_key(new.id)
    with pytest.raises(ChangeError, match="is revoked; create a new one"):
        await change.rotate_key(new.id)


async def test_revoking_again_changes_nothing(change: Changes) -> None:
    key, _ = await change.create_key("acme", "laptop")
    first = await change.revoke_key(key.id)
    assert await change.revoke_key(key.id) == first


@pytest.mark.parametrize(
    ("account", "name"),
    [("", "x"), ("a/b", "x"), ("a\n", "x"), ("acme", ""), ("acme", " x"), ("acme", "x\n"), ("acme", "x" * 65)],
)
async def test_a_key_needs_a_plain_account_and_a_name(account: str, name: str, change: Changes) -> None:
    with pytest.raises(ChangeError, match="Invalid"):
        await change.create_key(account, name)


async def test_a_key_cannot_be_born_dead(change: Changes) -> None:
    with pytest.raises(ChangeError, match="expired before it was made"):
        await change.create_key("acme", "laptop", datetime.now(UTC))


async def test_a_deployment_keeps_what_it_was_given(path: Path, change: Changes) -> None:
    limits = DeploymentTimeouts(connect=1, silence=3, queue=4)
    given = {"upstream_key": "s3cret", "status": Status.READY, "timeouts": limits, "ping": 15.0}
    entry = DEMO.model_copy(update={**given, "limits": DeploymentLimits(waiting=7)})
    await change.add_deployment("demo", entry)
    defaults = Defaults(Timeouts(first_byte=20), Limits(connections=9))
    async with opened(SqlRegistry(str(path), defaults)) as registry:
        found = registry.snapshot.deployments["demo"]
        assert (found.upstream_key, found.status, found.timeouts) == ("s3cret", Status.READY, Timeouts(1, 20, 3, 4))
        assert (found.limits, found.ping, found.ca_file) == (Limits(9, 7), 15.0, None)
        paused = change.set_status("demo", Status.PAUSED)
        await in_force(registry, paused, lambda: registry.snapshot.deployments["demo"].status is Status.PAUSED)
        update = change.update_deployment("demo", DEMO, {"upstream_key"})
        await in_force(registry, update, lambda: registry.snapshot.deployments["demo"].upstream_key is None)
        assert registry.snapshot.deployments["demo"].ping == 15.0


async def test_what_cannot_be_changed_is_said_in_a_sentence(change: Changes) -> None:
    await change.add_deployment("demo", DEMO)
    with pytest.raises(ChangeError, match="There is a deployment demo already"):
        await change.add_deployment("demo", DEMO)
    with pytest.raises(ChangeError, match="There is a deployment demo already"):
        await change.add_deployment("demo", DEMO.model_copy(update={"account": "beta"}))
    with pytest.raises(ChangeError, match=r"There is no deployment 'dem'; did you mean `demo`\?"):
        await change.update_deployment("dem", DEMO, {"upstream"})
    with pytest.raises(ChangeError, match="There is no account 'gamma'"):
        await change.update_deployment("demo", DEMO.model_copy(update={"account": "gamma"}), {"account"})
    with pytest.raises(ChangeError, match="There is no deployment 'none'"):
        await change.set_status("none", Status.PAUSED)
    with pytest.raises(ChangeError, match="There is no deployment 'none'"):
        await change.remove_deployment("none")
    with pytest.raises(ChangeError, match="Invalid id"):
        await change.add_deployment("a/b", DEMO)
    with pytest.raises(ChangeError, match="There is no key of this id"):
        await change.revoke_key("' OR '1'='1")


async def test_a_refused_change_does_not_move_the_revision(path: Path, change: Changes) -> None:
    await change.add_deployment("demo", DEMO)
    before = rows(path, "SELECT number FROM revision")
    with pytest.raises(ChangeError):
        await change.add_deployment("demo", DEMO)
    assert rows(path, "SELECT number FROM revision") == before


async def test_an_import_takes_all_and_doing_it_again_changes_nothing(path: Path, change: Changes) -> None:
    settings = parse(IMPORTED, "gw.yaml", {})
    assert await change.import_settings(settings) == Imported(keys_added=2, deployments_added=2)
    before = rows(path, "SELECT * FROM deployments"), rows(path, "SELECT * FROM keys")
    assert await change.import_settings(settings) == Imported(keys_known=2, deployments_known=2)
    assert await change.import_settings(settings, overwrite=True) == Imported(keys_known=2, deployments_known=2)
    assert (rows(path, "SELECT * FROM deployments"), rows(path, "SELECT * FROM keys")) == before
    async with opened(SqlRegistry(str(path))) as registry:
        assert accepts(registry, "gw_CANARY_secret_0123456789", "acme")
        assert registry.snapshot.deployments["demo"].status is Status.PAUSED
    assert not any(b"CANARY" in file.read_bytes() for file in path.parent.iterdir())


async def test_an_import_keeps_what_was_changed_unless_told_to_overwrite(path: Path, change: Changes) -> None:
    settings = parse(IMPORTED, "gw.yaml", {})
    await change.import_settings(settings)
    changed = settings.deployments["next"].model_copy(update={"upstream": "http://127.0.0.1:3", "ping": 15.0})
    await change.update_deployment("next", changed, {"upstream", "ping"})
    await change.set_status("next", Status.PAUSED)
    differing = {"next": ("upstream", "status", "ping")}
    before = rows(path, "SELECT * FROM deployments")
    kept = await change.import_settings(settings)
    assert kept == Imported(keys_known=2, deployments_known=2, deployments_kept=differing)
    assert rows(path, "SELECT * FROM deployments") == before
    done = await change.import_settings(settings, overwrite=True)
    assert done == Imported(keys_known=2, deployments_known=2, deployments_overwritten=differing)
    now = rows(path, "SELECT upstream, status, ping FROM deployments WHERE id = 'next'")
    assert now == [("http://127.0.0.1:2", "auto", None)]


async def test_an_import_that_would_take_from_another_account_changes_nothing(path: Path, change: Changes) -> None:
    await change.add_deployment("next", DEMO.model_copy(update={"account": "beta"}))
    with pytest.raises(ChangeError, match="Deployment next belongs to another account"):
        await change.import_settings(parse(IMPORTED, "gw.yaml", {}))
    assert rows(path, "SELECT count(*) FROM keys") == [(0,)]
    await change.remove_deployment("next")
    await change.import_settings(parse(IMPORTED, "gw.yaml", {}))
    with pytest.raises(ChangeError, match="The key beta/laptop belongs to another account"):
        await change.import_settings(parse(IMPORTED.replace("acme", "beta"), "gw.yaml", {}))
