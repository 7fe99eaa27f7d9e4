"""What both registries promise, run against a YAML file and a database."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.document import SourceError
from gateway.core.account import Key
from gateway.core.deployment import Status
from gateway.core.secret_text import digest_of
from tests.harness.storage.registries import Source, SqlSource, YamlSource, accepts, in_force, opened


@pytest.fixture(params=[YamlSource, SqlSource], ids=["yaml", "sql"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    make: Callable[[Path], Source] = request.param
    return make(tmp_path)


async def test_a_key_is_found_by_its_digest_and_by_nothing_else(source: Source) -> None:
    text = await source.add_key("acme", "laptop")
    async with opened(source.registry()) as registry:
        assert accepts(registry, text, "acme")
        near = [text[:-1], text + "x", text.swapcase(), text.removeprefix("gw_"), digest_of(text).hex(), "", "gw_"]
        odd = ["' OR '1'='1", "%", "_", "*", '"; DROP TABLE keys;--', "\\x27", "null", "None", "{{7*7}}", "\udcff"]
        key_id = next(iter(registry.snapshot.keys.values())).id
        assert not any(accepts(registry, wrong) for wrong in [*near, *odd, key_id])


async def test_keys_that_begin_alike_are_never_crossed(source: Source) -> None:
    texts = {owner: await source.add_key(owner, "laptop") for owner in ("acme", "beta")}
    async with opened(source.registry()) as registry:
        assert accepts(registry, texts["acme"], "acme")
        assert accepts(registry, texts["beta"], "beta")


async def test_a_foreign_deployment_and_a_missing_one_are_the_same(source: Source) -> None:
    await source.add_deployment("demo", "acme")
    async with opened(source.registry()) as registry:
        found = registry.snapshot.deployment("acme", "demo")
        assert found is not None
        assert (found.id, found.account, found.upstream, found.status) == (
            "demo",
            "acme",
            "http://127.0.0.1:9931",
            Status.AUTO,
        )
        assert registry.snapshot.deployment("beta", "demo") is None
        assert registry.snapshot.deployment("acme", "none") is None


async def test_a_key_works_until_it_expires(source: Source) -> None:
    text = await source.add_key("acme", "laptop", datetime.now(UTC) + timedelta(hours=1))
    async with opened(source.registry()) as registry:
        assert accepts(registry, text)
        later = datetime.now(UTC) + timedelta(hours=1, seconds=1)
        assert registry.snapshot.key(digest_of(text), later) is None


async def test_a_key_that_has_expired_never_works(source: Source) -> None:
    text = await source.add_key("acme", "laptop", datetime.now(UTC) - timedelta(seconds=1))
    async with opened(source.registry()) as registry:
        assert not accepts(registry, text)


@pytest.mark.slow
async def test_an_added_and_an_ended_key_count_within_a_second(source: Source) -> None:
    await source.add_deployment("demo", "acme")
    async with opened(source.registry()) as registry:
        made: list[str] = []

        async def add() -> None:
            made.append(await source.add_key("acme", "new"))

        await in_force(registry, add(), lambda: accepts(registry, made[0]))
        await in_force(registry, source.end_key(made[0]), lambda: not accepts(registry, made[0]))


@pytest.mark.slow
async def test_an_added_and_a_removed_deployment_count_within_a_second(source: Source) -> None:
    await source.add_key("acme", "laptop")
    async with opened(source.registry()) as registry:
        add = source.add_deployment("demo", "acme", Status.PAUSED)
        await in_force(registry, add, lambda: "demo" in registry.snapshot.deployments)
        assert registry.snapshot.deployments["demo"].status is Status.PAUSED
        await in_force(registry, source.remove_deployment("demo"), lambda: not registry.snapshot.deployments)


@pytest.mark.slow
async def test_a_source_that_turns_bad_keeps_the_old_snapshot_and_is_said_once(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    text = await source.add_key("acme", "laptop")
    caplog.set_level(logging.INFO, "gateway.registry")
    async with opened(source.registry()) as registry:
        before = registry.snapshot
        await in_force(registry, source.spoil(), lambda: registry.problem is not None)
        await asyncio.sleep(1)  # two more looks, of which nothing may be heard
        assert registry.snapshot is before
        assert accepts(registry, text)
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(said) == 1
        assert str(source.folder) in said[0]
        await in_force(registry, source.mend(), lambda: registry.problem is None)
        assert accepts(registry, text)
        assert text not in caplog.text


async def test_a_bad_source_is_refused_at_start(source: Source) -> None:
    await source.add_key("acme", "laptop")
    await source.spoil()
    registry = source.registry()
    with pytest.raises(SourceError, match=str(source.folder)):
        await registry.open()
    await registry.close()


async def test_a_snapshot_is_never_changed_only_replaced(source: Source) -> None:
    text = await source.add_key("acme", "laptop")
    await source.add_deployment("demo", "acme")
    async with opened(source.registry()) as registry:
        before = registry.snapshot
        await in_force(registry, source.end_key(text), lambda: not accepts(registry, text))
        assert before.key(digest_of(text), datetime.now(UTC)) is not None
        with pytest.raises(TypeError):
            before.keys[b""] = Key("", "", "", b"")  # type: ignore[index]


async def test_closing_twice_or_before_opening_does_nothing(source: Source) -> None:
    await source.add_key("acme", "laptop")
    registry = source.registry()
    await registry.close()
    await registry.open()
    await registry.close()
    await registry.close()


async def test_two_registries_of_one_source_say_the_same(source: Source) -> None:
    text = await source.add_key("acme", "laptop")
    async with opened(source.registry()) as one, opened(source.registry()) as other:
        await in_force(one, source.end_key(text), lambda: not accepts(one, text))
        await in_force(other, asyncio.sleep(0), lambda: not accepts(other, text))
