"""The audit log's page: read, narrowed, paged, downloaded; and how long it is kept."""

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from yarl import URL

from gateway.team.models.accounts import NewAccount
from gateway.team.models.audit import AuditQuery
from gateway.team.models.keys import NewKey
from tests.harness.pages.plain_browser import browsing
from tests.harness.pages.team_pages import COOKIE, Team, team_serving
from tests.harness.patience import wait_until
from tests.harness.storage.databases import rows

ROW = "actor_kind, actor, actor_name, face, action, target"
DOUBLED = f"INSERT INTO audit (at, {ROW}) SELECT at, {ROW} FROM audit"


def change(folder: Path, *statements: str) -> None:
    """Change a team's database. It waits for whoever writes there, and so runs in a thread while a gateway does."""
    with closing(sqlite3.connect(folder / "gateway.db")) as database, database:
        for statement in statements:
            database.execute(statement)


async def a_renamed_key(team: Team) -> str:
    """The id of a key that ada has made, and renamed."""
    async with browsing(team, await team.person("ada")) as ada:
        await ada.post("/keys", account="acme", name="laptop")
        key = str((await team.do("keys.list")).items[0].id)
        await ada.post(f"/keys/{key}/off")
    return key


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_a_change_is_shown_as_what_is_different(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("eve")) as eve:
        key = await a_renamed_key(team)
        html = (await eve.get(f"/audit?target={key}&action=keys.change")).text
        assert re.search(r"<dt>enabled</dt><dd><del>yes</del> .* <ins>no</ins></dd>", html)
        assert "<dt>version" not in html
        assert "on a page, from 127.0.0.1" in html
        assert html.count("<tr>") == 2


async def test_the_filters_and_the_download_let_the_same_through(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("eve")) as eve:
        key = await a_renamed_key(team)
        for query, actions in (
            ("?actor=ada", ["keys.change", "keys.create"]),
            (f"?target={key}&action=keys.create", ["keys.create"]),
            ("?action=accounts.create&actor=root", ["accounts.create"]),
            ("?actor=nobody", []),
        ):
            assert [row["action"] for row in lines((await eve.get("/audit.jsonl" + query)).text)] == actions
            assert (await eve.get("/audit" + query)).text.count("<tr>") == len(actions) + bool(actions)
        everything = (await eve.get("/audit.jsonl")).text
        assert [row["id"] for row in lines(everything)] == [3, 2, 1]
        assert re.search(r"gw_\w{6}", everything) is None  # of a key no more is shown than its first five


@pytest.mark.slow
async def test_a_long_log_is_paged_and_downloaded_whole(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, browsing(team, await team.person("eve")) as eve:
        for number in range(51):
            await team.do("accounts.create", asked=NewAccount(id=f"a{number}"))
        await asyncio.to_thread(change, tmp_path, *[DOUBLED] * 5)
        first = await eve.get("/audit?action=accounts.create")
        older = re.search(r'href="(/audit\?cursor=[^"]+)"', first.text)
        assert older is not None
        assert "action=accounts.create" in older[1]
        assert first.text.count("<tr>") == 51
        assert ">Newest</a>" in (await eve.get(older[1])).text
        assert len(lines((await eve.get("/audit.jsonl")).text)) == 51 * 32


@pytest.mark.parametrize("asked", ["", "&action=accounts.create"])
async def test_a_further_page_of_which_nothing_is_left_says_so(tmp_path: Path, asked: str) -> None:
    async with team_serving(tmp_path, "acme", "beta") as team, browsing(team, await team.person("eve")) as eve:
        cursor = (await team.do("audit.list", asked=AuditQuery(limit=1))).next_cursor
        await asyncio.to_thread(change, tmp_path, "DELETE FROM audit WHERE target = 'acme'")
        left = (await eve.get(f"/audit?cursor={cursor}{asked}")).text
        assert "Nothing older is left here." in left
        assert f'<a href="/audit{asked.replace("&", "?")}">Show the newest</a>' in left
        assert "Nothing was done" not in left


async def test_a_download_that_fails_on_its_way_is_cut(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team:
        session = await team.person("eve")
        await team.do("accounts.create", asked=NewAccount(id="acme"))
        spoiled = f"INSERT INTO audit (at, {ROW}, after) SELECT at, {ROW}, 'no JSON' FROM audit"
        await asyncio.to_thread(change, tmp_path, spoiled, *[DOUBLED] * 10)
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(team.url).port)
        cookie = f"{COOKIE}={session}".encode()
        writer.write(b"GET /audit.jsonl HTTP/1.0\r\nHost: 127.0.0.1\r\nCookie: %b\r\n\r\n" % cookie)
        assert await reader.readline() == b"HTTP/1.0 200 OK\r\n"
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_names_and_filters_are_inert_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person(name)) as eve:
        await team.do("keys.create", asked=NewKey(account="acme", name=name))
        async with eve.raw("/audit?actor=%22%3E%3Cscript%3E") as answer:
            assert "<script>" not in re.sub(r"<script src=[^>]+>", "", await answer.text())
        async with eve.raw("/audit") as answer:
            assert "&lt;script&gt;alert(1)" in await answer.text()


async def test_a_member_reads_none_of_it(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        async with browsing(team, await team.person("bob", "member", ["acme"])) as bob:
            for path in ("/audit", "/audit.jsonl", "/audit?actor=bob", "/audit.jsonl?target=acme"):
                assert (await bob.get(path)).status == 403
        async with browsing(team) as nobody:
            assert (await nobody.get("/audit.jsonl")).location == "/sign-in?next=/audit.jsonl"


async def test_a_cursor_that_is_none_is_told(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, browsing(team, await team.person("eve")) as eve:
        answer = await eve.get("/audit?cursor=nonsense")
        assert (answer.status, "The cursor is none of ours." in answer.text) == (422, True)


async def test_rows_that_are_too_old_are_removed(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme"):
        pass
    for at in ("datetime('now', '-180 hours')", "at"):
        change(tmp_path, f"INSERT INTO audit (at, {ROW}) SELECT {at}, {ROW} FROM audit WHERE id = 1")

    def is_pruned() -> bool:
        return rows(tmp_path / "gateway.db", "SELECT id FROM audit ORDER BY id") == [(1,), (3,)]

    assert not is_pruned()
    async with team_serving(tmp_path, audit_days=8):
        assert not await asyncio.to_thread(is_pruned)
    async with team_serving(tmp_path, audit_days=7):
        await asyncio.to_thread(wait_until, is_pruned)
