"""The YAML registry: every way in which a file can be changed under a running gateway."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from gateway.config.document import SourceError
from gateway.registry.file_content import content_of
from gateway.registry.file_reading import read_settings
from gateway.registry.start_configuration import cautions
from gateway.registry.yaml_file import YamlRegistry
from tests.harness.patience import PATIENCE
from tests.harness.storage.config_files import GOOD, KEY, written
from tests.harness.storage.registries import accepts, in_force, opened

OTHER = GOOD.replace("demo", "next")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path)


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no YAML": (lambda path: path.write_text("accounts: [\n"), "gateway.yaml:2: not valid YAML"),
    "a tab": (lambda path: path.write_text("server:\n\tport: 1\n"), "gateway.yaml:2: not valid YAML"),
    "empty": (lambda path: path.write_text(""), "gateway.yaml:1: the file is empty"),
    "half-written": (lambda path: path.write_text(GOOD[:70]), "gateway.yaml:4: not valid YAML"),
    "an unknown field": (lambda path: path.write_text("x: 1\n" + GOOD), "gateway.yaml:1: x: unknown setting"),
    "a wrong type": (lambda path: path.write_text("server: 5\n" + GOOD), "gateway.yaml:1: server: must be a mapping"),
    "a doubled field": (lambda path: path.write_text(GOOD + GOOD), "gateway.yaml:7: accounts: is defined twice"),
    "an object": (lambda path: path.write_text("server: !!python/object:x.Y {}\n"), "gateway.yaml:1: server: YAML"),
    "not UTF-8": (lambda path: path.write_bytes(b"server:\n  host: \xff\n"), "gateway.yaml:2: the file is not UTF-8"),
    "100 MB": (lambda path: os.truncate(path, 100_000_000), "gateway.yaml: is larger than"),
    "gone": (lambda path: path.unlink(), "gateway.yaml: cannot be read: no such file"),
    "a folder": (_replace_by_folder, "gateway.yaml: is not a file"),
    "a pipe": (_replace_by_pipe, "gateway.yaml: is not a file"),
    "a link to nothing": (_link_to_nothing, "gateway.yaml: cannot be read: no such file"),
    "a database": (lambda path: path.write_text("database: x.db"), "gateway.yaml: the file names a database now"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT.keys())
async def test_a_bad_edit_changes_nothing_but_the_problem(
    spoil: Callable[[Path], object], said: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(YamlRegistry(path, {}, interval=0.05)) as registry:
        before = registry.snapshot

        async def edit() -> None:
            spoil(path)

        await in_force(registry, edit(), lambda: registry.problem is not None)
        assert registry.problem is not None
        assert said in registry.problem.lines[0]
        assert registry.snapshot is before
        assert accepts(registry, KEY)
        assert "CANARY" not in caplog.text + str(registry.problem)


@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT.keys())
async def test_a_bad_file_is_refused_at_start(spoil: Callable[[Path], object], said: str, path: Path) -> None:
    spoil(path)
    registry = YamlRegistry(path, {}, interval=0.05)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(SourceError) as raised:
            await registry.open()
    assert said in raised.value.lines[0]


async def test_a_cause_outside_the_file_is_gone_as_soon_as_it_is_put_right(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.registry.yaml_file._FRESH_NS", 0)  # as if it had been edited long ago
    caplog.set_level(logging.INFO, "gateway.registry")
    missing, away = path.with_name("ca.pem"), path.with_name("away.pem")
    trustme.CA().cert_pem.write_to_path(str(away))
    async with opened(YamlRegistry(path, {}, interval=0.05)) as registry:

        async def edit() -> None:
            path.write_text(OTHER.replace('"}', f'", ca_file: "{missing}"}}'))

        async def put_back() -> None:
            away.replace(missing)

        await in_force(registry, edit(), lambda: registry.problem is not None)
        await in_force(registry, put_back(), lambda: registry.problem is None)
        assert "next" in registry.snapshot.deployments
    said = [record.getMessage() for record in caplog.records]
    assert [("ca_file: cannot be read" in line, "is in force" in line) for line in said] == [
        (True, False),
        (False, True),
    ]


def _rewrite(path: Path) -> None:
    path.write_text(OTHER)


def _replace(path: Path) -> None:
    path.with_suffix(".new").write_text(OTHER)
    path.with_suffix(".new").replace(path)


def _swap_link(path: Path) -> None:
    path.with_name("other.yaml").write_text(OTHER)
    link = path.with_name("link")
    link.symlink_to("other.yaml")
    link.replace(path)


def _rewrite_and_hide_it(path: Path) -> None:
    """Same inode, same size, same mtime."""
    before = path.stat()
    path.write_text(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def _remove_and_restore(path: Path) -> None:
    path.unlink()
    path.write_text(OTHER)


EDITS = [_rewrite, _replace, _swap_link, _rewrite_and_hide_it, _remove_and_restore]


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
async def test_every_kind_of_good_edit_is_in_force_soon(edit: Callable[[Path], None], path: Path) -> None:
    async with opened(YamlRegistry(path, {}, interval=0.05)) as registry:

        async def change() -> None:
            edit(path)

        await in_force(registry, change(), lambda: "next" in registry.snapshot.deployments)
        assert registry.problem is None


@pytest.mark.slow
async def test_an_edit_in_the_same_moment_as_the_last_look_is_not_missed(path: Path) -> None:
    """The timestamps of two writes within one tick of the kernel's clock are the same."""
    seen: set[str] = set()
    async with opened(YamlRegistry(path, {}, interval=0.01)) as registry:
        for number in range(6):
            path.write_text(GOOD.replace("demo", f"d{number:03}"))
            async with asyncio.timeout(PATIENCE):
                while f"d{number:03}" not in registry.snapshot.deployments:
                    await asyncio.sleep(0.001)
            seen |= set(registry.snapshot.deployments)
    assert len(seen) == 6


async def test_a_touched_file_is_not_taken_for_a_new_one(path: Path) -> None:
    async with opened(YamlRegistry(path, {}, interval=0.01)) as registry:
        before = registry.snapshot
        os.utime(path)
        await asyncio.sleep(1)  # by then it is read again
        assert registry.snapshot is before


async def test_a_file_being_written_slowly_is_not_read_half_way(path: Path) -> None:
    """Its first half is a valid configuration of its own, without the deployments."""
    async with opened(YamlRegistry(path, {}, interval=0.02)) as registry:
        accounts, deployments = GOOD.split("deployments:")
        with path.open("w") as file:
            for part in (accounts, "deployments:", deployments):
                file.write(part)
                file.flush()
                await asyncio.sleep(0.03)
                assert registry.snapshot.deployments


async def test_settings_follow_and_those_that_wait_for_a_start_are_named_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.registry")
    registry = YamlRegistry(path, {}, interval=0.05)
    async with opened(registry):

        async def edit(server: str) -> None:
            path.write_text(f"server: {server}\n" + GOOD)

        await in_force(registry, edit("{port: 81}"), lambda: registry.content.server.port == 81)
        limits = "{port: 81, timeouts: {silence: 5}}"
        await in_force(registry, edit(limits), lambda: registry.snapshot.deployments["demo"].timeouts.silence == 5)
    said = [record.getMessage() for record in caplog.records if "next start" in record.getMessage()]
    assert said == [f"{path}: server.port will take effect at the next start"]


async def test_a_listener_is_called_in_the_event_loop_and_told_after_the_change(path: Path) -> None:
    registry = YamlRegistry(path, {}, interval=0.05)
    seen: list[bool] = []
    registry.listeners.append(lambda: seen.append("demo" in registry.snapshot.deployments))
    await registry.open()
    await registry.close()
    assert seen == [True]


@pytest.mark.slow
@pytest.mark.usefixtures("no_collection")
async def test_looking_at_a_big_file_does_not_hold_up_the_event_loop(path: Path) -> None:
    many = "".join(f"      - {{name: n{n}, key_sha256: a{n:063x}}}\n" for n in range(10_000))
    path.write_text(f"accounts:\n  acme:\n    keys:\n{many}deployments: {{}}\n")
    registry = YamlRegistry(path, {}, interval=0.05)
    slowest, elsewhere = 0.0, time.thread_time() - time.process_time()  # CPU time: other processes do not count
    opening = asyncio.create_task(registry.open())
    while not opening.done():
        before = time.thread_time()
        await asyncio.sleep(0.001)
        slowest = max(slowest, time.thread_time() - before)
    await opening
    elsewhere -= time.thread_time() - time.process_time()
    assert len(registry.snapshot.keys) == 10_000
    assert slowest < elsewhere / 2, f"{slowest:.3f} s at a time; {elsewhere:.3f} s in other threads"
    await registry.close()


async def test_what_an_edit_leaves_alone_is_the_same_object_as_before(path: Path) -> None:
    path.write_text(GOOD)
    async with opened(YamlRegistry(path, {})) as registry:
        before = registry.snapshot.deployments["demo"]
        added = '  more: {account: acme, upstream: "http://127.0.0.1:9932"}\n'
        edit = asyncio.to_thread(path.write_text, GOOD + added)
        await in_force(registry, edit, lambda: "more" in registry.snapshot.deployments)
        assert registry.snapshot.deployments["demo"] is before


def test_a_relative_ca_file_starts_at_the_files_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trustme.CA().cert_pem.write_to_path(str(path.with_name("ca.pem")))
    path.write_text(GOOD.replace('"}', '", ca_file: ca.pem}'))
    for folder, given in (("/", path), (path.parent, Path(path.name))):
        monkeypatch.chdir(folder)
        assert read_settings(given, {}).deployments["demo"].ca_file == str(path.with_name("ca.pem"))


def test_the_id_of_a_key_is_its_account_and_its_name(path: Path) -> None:
    path.write_text(
        "accounts: {acme: {keys: [{name: ci, key: gw_12345678}]}, b: {keys: [{name: ci, key: gw_87654321}]}}"
    )
    assert [key.id for key in content_of(read_settings(path, {})).snapshot().keys.values()] == ["acme/ci", "b/ci"]


@pytest.mark.parametrize(
    ("mode", "text", "warned"),
    [
        (0o644, GOOD, True),
        (0o640, GOOD, True),
        (0o600, GOOD, False),
        (0o644, GOOD.replace(f"key: {KEY}", f"key_sha256: {'ab' * 32}"), False),
        (0o644, GOOD.replace(KEY, "'${KEY}'"), False),
        (0o644, f"database: postgresql+asyncpg://gateway:{KEY}@db.test/gateway", True),
        (0o644, f"database: postgresql+asyncpg://gateway:{KEY}@${{HOST}}/gateway", True),
        (0o644, f"database: mysql+aiomysql://db.test/gateway?user=gateway&password={KEY}&ssl=1", True),
        (0o600, f"database: postgresql+asyncpg://gateway:{KEY}@db.test/gateway", False),
        (0o644, "database: postgresql+asyncpg://gateway:${KEY}@db.test/gateway", False),
        (0o644, "database: postgresql+asyncpg://gateway@db.test/gateway", False),
        (0o644, "database: postgresql+asyncpg:///gateway?user=gateway", False),
    ],
)
def test_a_file_with_secrets_that_others_can_read_is_warned_of(mode: int, text: str, warned: bool, path: Path) -> None:
    path.write_text(text)
    path.chmod(mode)
    said = cautions(read_settings(path, {"KEY": KEY, "HOST": "db.test"}), path)
    assert any("chmod 600" in sentence for sentence in said) is warned
    assert "CANARY" not in "".join(said)
