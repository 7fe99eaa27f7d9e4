"""What a browser is shown where there is no page: the database fails, or there is none."""

from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.registry.database import sqlite_file
from gateway.team.models.people import NewInvitation
from tests.harness.pages.plain_browser import browsing
from tests.harness.pages.status_pages import serving
from tests.harness.pages.team_pages import COOKIE, team_serving
from tests.harness.storage.databases import locked

HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.mark.slow
async def test_who_signs_in_while_the_database_is_locked_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "WRITE_PATIENCE", 1.0)
    async with team_serving(tmp_path) as team, browsing(team) as stranger:
        made = await team.do("invitations.create", asked=NewInvitation(name="ada"))
        link = "/invitations/" + made.url.rpartition("/")[2]
        async with locked(tmp_path / "gateway.db"):
            for path, fields in (("/sign-in", {"name": "ada"}), (link, {})):
                answer = await stranger.post(path, password="correct horse battery", **fields)
                assert answer.status == 503
                assert "The database cannot be used right now" in answer.text
        assert (await stranger.post(link, password="correct horse battery")).status == 303


async def test_a_database_that_is_gone_is_told_on_a_page(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        (tmp_path / "gateway.db").rename(tmp_path / "elsewhere.db")
        for path in ("/keys", "/people", "/sign-in", "/invitations/gwi_none"):
            async with ada.raw(path, Accept=HTML) as answer:
                assert (answer.status, answer.content_type) == (503, "text/html")
                assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
                assert "The database cannot be used right now" in await answer.text()
            async with ada.raw(path, Accept="*/*") as answer:
                assert (answer.status, answer.content_type) == (503, "application/json")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"name=\xff"),
        ("application/x-www-form-urlencoded; charset=none", b"name=a"),
        ("application/x-www-form-urlencoded; charset=punycode", b"aaaa"),
        ("application/x-www-form-urlencoded" + ";" * 300, b"name=a"),
        ("application/x-www-form-urlencoded", b"name=a&" * 30_000),
        ("application/x-www-form-urlencoded", b"name=" + b"%41" * 30_000),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\na\r\n--x--"),
    ],
)
async def test_what_only_says_that_it_is_a_form_is_refused(tmp_path: Path, kind: str, body: bytes) -> None:
    async with team_serving(tmp_path) as team, ClientSession(team.url) as client:
        cookie = f"{COOKIE}={await team.person('ada')}"
        for path in ("/sign-in", "/invitations/gwi_none", "/keys", "/people"):
            headers = {"Content-Type": kind, "Accept": HTML, "Origin": team.url, "Cookie": cookie}
            async with client.post(path, data=body, headers=headers) as answer:
                assert (answer.status, answer.content_type) == (400, "text/html")
                assert "The form cannot be read" in await answer.text()


async def test_with_a_yaml_file_each_page_says_why_it_is_not_there() -> None:
    async with serving() as gateway, ClientSession(gateway.url) as client:
        for path in ("/deployments", "/keys", "/sign-in", "/invitations/gwi_none"):
            async with client.get(path, headers={"Accept": HTML}) as answer:
                assert (answer.status, answer.content_type) == (409, "text/html")
                assert "from a YAML file, which only its editor changes" in await answer.text()
