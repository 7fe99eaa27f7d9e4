"""The database as a file: what is none, what is damaged, whose it is, and how it is named."""

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from gateway.config.document import SourceError
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.database.engine import name_of
from gateway.registry.factory import registry_of
from gateway.registry.file_reading import read_settings
from gateway.registry.start_configuration import cautions, read_configuration
from tests.harness.storage.changes import Changes, changing
from tests.harness.storage.databases import damage_table, refused, rows
from tests.harness.storage.registries import accepts, opened


async def test_a_missing_database_is_never_made_by_serving(path: Path) -> None:
    assert "there is no such database; `gguf-gateway accounts add" in await refused(path)
    assert not path.exists()


def _zeroed(content: bytes) -> bytes:
    return b"\0" * 100 + content[100:]


def _torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _random_pages(content: bytes) -> bytes:
    return content[:4096] + b"\xa5" * (len(content) - 4096)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "a text": lambda content: b"accounts: {}\n" * 100,
    "zeroed header": _zeroed,
    "torn": _torn,
    "random pages": _random_pages,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
async def test_a_damaged_file_is_refused_and_left_as_it_is(
    damage: Callable[[bytes], bytes], path: Path, template: bytes
) -> None:
    damaged = damage(template)
    path.write_bytes(damaged)
    assert await refused(path)
    assert path.read_bytes() == damaged


async def test_damaged_usage_keeps_nobody_from_being_served(path: Path, change: Changes) -> None:
    _, text = await change.create_key("acme", "laptop")
    damage_table(path, "usage_hours")
    async with opened(SqlRegistry(str(path))) as registry:
        assert accepts(registry, text)


@pytest.mark.parametrize("table", ["accounts", "keys", "deployments", "limits", "changes", "revision"])
async def test_a_damaged_table_that_is_read_is_refused(table: str, path: Path, change: Changes) -> None:
    damage_table(path, table)
    assert "is damaged; restore it from a backup" in await refused(path)


@pytest.mark.parametrize("damage", [name for name in DAMAGE if name != "empty"])
async def test_no_command_writes_into_a_damaged_file_either(damage: str, path: Path, template: bytes) -> None:
    damaged = DAMAGE[damage](template)
    path.write_bytes(damaged)
    with pytest.raises(SourceError):
        async with changing(str(path), create=True) as change:
            await change.create_key("acme", "laptop", create_account=True)
    assert path.read_bytes() == damaged


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "is not a file" in await refused(tmp_path)


async def test_another_programs_database_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE songs (title TEXT)")
    assert "holds the tables of another program" in await refused(path)
    with pytest.raises(SourceError, match="another program"):
        async with changing(str(path), create=True):
            pass
    assert rows(path, "SELECT name FROM sqlite_master") == [("songs",)]


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="its folder does not exist"):
        async with changing(str(tmp_path / "none" / "gateway.db"), create=True):
            pass


async def test_a_new_database_is_for_its_owner_only(path: Path) -> None:
    async with changing(str(path), create=True) as change, opened(SqlRegistry(str(path))):
        await change.create_key("acme", "laptop", create_account=True)
        files = list(path.parent.glob("gateway.db*"))
        assert len(files) > 1
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["with space.db", "100%.db", "q?a=b.db", "h#sh.db", "ümläut.db", "a&b;c.db", "~.db"])
async def test_any_file_name_will_do(name: str, tmp_path: Path) -> None:
    async with changing(str(tmp_path / name), create=True) as change:
        _, text = await change.create_key("acme", "laptop", create_account=True)
    assert (tmp_path / name).is_file()
    async with opened(SqlRegistry(str(tmp_path / name))) as registry:
        assert accepts(registry, text)


@pytest.mark.parametrize(
    "text",
    [
        "sqlite://",
        "sqlite:///:memory:",
        ":memory:",
        "nosuchdb://h/d",
        "sqlite+aiosqlite://",
        "://",
        "x://u:CANARY@",
        "postgresql+asyncpg://u:secret@CANARY@127.0.0.1:1/d",  # its @ is not written as %40
        "postgresql+asyncpg://u:secret@CANARY/@127.0.0.1:1/d",
    ],
)
async def test_a_url_that_names_no_database_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(SourceError) as raised:
        await SqlRegistry(text).open()
    assert "CANARY" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql+asyncpg://u:CANARY@h/d?ssl=require", "postgresql+asyncpg://u:***@h/d?ssl=require"),
        ("postgresql+asyncpg://h/d?user=u&password=CANARY", "postgresql+asyncpg://h/d?user=u"),
        ("mysql+aiomysql://h/d?passwd=CANARY", "mysql+aiomysql://h/d"),
    ],
)
def test_a_password_is_not_part_of_a_databases_name(url: str, name: str) -> None:
    assert name_of(make_url(url)) == name


def test_a_relative_path_starts_at_the_configurations_folder(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("database: sqlite+aiosqlite:///gateway.db")
    registry = registry_of(read_configuration(config), config)
    assert isinstance(registry, SqlRegistry)
    assert registry.name == str(tmp_path / "gateway.db")


@pytest.mark.parametrize("open_to_others", ["gateway.db", "gateway.db-wal", "gateway.db-shm"])
def test_a_database_that_others_can_read_is_warned_of(tmp_path: Path, open_to_others: str) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("database: gateway.db")
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"gateway.db{suffix}").touch(mode=0o600)
    (tmp_path / open_to_others).chmod(0o644)
    (said,) = cautions(read_settings(config), config)
    assert f"{open_to_others} can be read by other users" in said
    assert said.endswith(f"chmod 600 {tmp_path}/gateway.db*")  # what SQLite makes beside it has the mode it had


def test_nobody_is_told_to_change_the_mode_of_a_folder(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("database: data")
    (tmp_path / "data").mkdir(mode=0o755)
    assert not cautions(read_settings(config), config)
