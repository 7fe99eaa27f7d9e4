"""What one page shows is looked at over one connection, and is an SQLite file at one moment."""

import sqlite3
from pathlib import Path

import pytest

from gateway.registry.database.sqlite_file import READ_PATIENCE
from gateway.team.models.accounts import NewAccount
from tests.harness.pages.plain_browser import browsing
from tests.harness.pages.team_pages import Team, team_serving


class Opened:
    """Counts the connections to the database that read. Beside the pages, one that writes prunes the audit log."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        self._connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", self)

    def __call__(self, *given: object, **further: object) -> sqlite3.Connection:
        self.number += further.get("timeout") == READ_PATIENCE
        return self._connect(*given, **further)  # type: ignore[call-overload,no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/deployments", "/keys", "/limits", "/people", "/audit", "/usage", "/me"])
async def test_a_page_opens_one_connection(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        opened = Opened(monkeypatch)
        assert (await ada.get(path)).status == 200
        assert opened.number == 1


async def test_who_is_not_signed_in_opens_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with team_serving(tmp_path) as team, browsing(team) as nobody:
        opened = Opened(monkeypatch)
        assert (await nobody.get("/keys")).location == "/sign-in?next=/keys"
        assert opened.number == 0


async def test_a_view_is_of_one_moment_and_the_next_of_another(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        async with team.database.view() as seen:
            before = Team(team.runner, seen, team.pages)
            assert await names(before) == ["acme"]
            await team.do("accounts.create", asked=NewAccount(id="beta"))
            assert await names(before) == ["acme"]
        assert await names(team) == ["acme", "beta"]


async def names(team: Team) -> list[str]:
    return [one.id for one in (await team.do("accounts.list")).items]
