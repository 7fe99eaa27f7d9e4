"""The page of limits: admins set, shadow and remove them; members see what limits themselves, and what is left."""

import re
from pathlib import Path

from gateway.core.rate_limits import Measure, SubjectKind
from gateway.team.models.accounts import NewAccount
from gateway.team.models.keys import NewKey
from gateway.team.models.limits import NewLimit
from tests.harness.pages.plain_browser import browsing
from tests.harness.pages.team_pages import Team, team_serving

RPM = Measure.REQUESTS_PER_MINUTE


async def limits(team: Team) -> list[tuple[str, str, int, bool]]:
    rows = (await team.do("limits.list")).items
    return [(row.kind.value, row.measure.value, row.amount, row.shadow) for row in rows]


async def test_a_limit_is_set_shadowed_enforced_and_removed(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        assert "Nothing is limited yet." in (await ada.get("/limits")).text
        asked = {"on": "account:acme", "measure": "tokens_per_day", "amount": "100000", "deployment": ""}
        done = await ada.post("/limits", **asked)
        assert (done.status, done.location) == (303, "/limits?done=set")
        shown = (await ada.get(done.location)).text
        assert "Set. It is in force within a second." in shown
        assert "100,000 tokens a day" in shown
        assert 'high="90000" optimum="0"' in shown  # from there on, the bar is green no longer
        assert await limits(team) == [("account", "tokens_per_day", 100_000, False)]
        await ada.post("/limits", **(asked | {"amount": "5", "shadow": "yes"}))
        assert await limits(team) == [("account", "tokens_per_day", 5, True)]
        assert "only counted" in (await ada.get("/limits")).text
        [limit] = (await team.do("limits.list")).items
        await ada.post(f"/limits/{limit.id}/enforce", version=str(limit.version))
        assert await limits(team) == [("account", "tokens_per_day", 5, False)]
        stale = await ada.post(f"/limits/{limit.id}/remove", version=str(limit.version))
        assert stale.status == 409
        await ada.post(f"/limits/{limit.id}/remove", version=str(limit.version + 1))
        assert await limits(team) == []


async def test_a_wrong_limit_is_told_and_keeps_what_was_typed(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        asked = {"on": "account:acme", "measure": "tokens_per_month", "deployment": ""}
        for amount in ("0", "many", "9" * 30, ""):
            answer = await ada.post("/limits", amount=amount, **asked)
            assert answer.status == 422
            assert f'value="{amount}"' in answer.text
            assert '<option value="account:acme" selected>' in answer.text
            assert '<option value="tokens_per_month" selected>' in answer.text
        assert (await ada.post("/limits", amount="3", **(asked | {"on": "door:acme"}))).status == 422
        assert (await ada.post("/limits", amount="3", **(asked | {"on": "key:none"}))).status == 422
        assert await limits(team) == []


async def test_a_key_and_a_person_show_what_limits_them(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        [person] = (await team.do("people.list")).items
        whom = [
            (f"/keys/{key.id}", SubjectKind.KEY, key.id),
            (f"/people/{person.id}", SubjectKind.PERSON, person.id),
        ]
        for path, kind, subject in whom:
            assert f'href="/limits?on={kind}:{subject}"' in (await ada.get(path)).text.replace("%3A", ":")
            asked = NewLimit(kind=kind, subject=subject, measure=RPM, amount=1234)
            await team.do("limits.set", asked=asked)
            assert "1,234 requests a minute" in (await ada.get(path)).text
        chosen = (await ada.get(f"/limits?on=key:{key.id}")).text
        assert f'<option value="key:{key.id}" selected>' in chosen


async def test_a_member_sees_what_limits_themselves_and_sets_none(tmp_path: Path) -> None:
    async with (
        team_serving(tmp_path, "acme") as team,
        browsing(team, await team.person("bob", "member", ["acme"])) as bob,
    ):
        await team.do("accounts.create", asked=NewAccount(id="beta"))
        for account, amount in (("acme", 1111), ("beta", 2222)):
            asked = NewLimit(kind=SubjectKind.ACCOUNT, subject=account, measure=RPM, amount=amount)
            await team.do("limits.set", asked=asked)
        for path in ("/limits", "/me"):
            shown = (await bob.get(path)).text
            assert "1,111 requests a minute" in shown
            assert "2,222" not in shown
            assert not re.search("Set a limit|/remove", shown)
        [limit, _] = (await team.do("limits.list")).items
        assert (await bob.post(f"/limits/{limit.id}/remove")).status == 403
        set_ = await bob.post("/limits", on="account:acme", measure="requests_per_minute", amount="9", deployment="")
        assert set_.status == 403


async def test_a_name_is_no_markup(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        key = await team.do("keys.create", asked=NewKey(account="acme", name="<i>x</i>"))
        asked = NewLimit(kind=SubjectKind.KEY, subject=key.id, measure=RPM, amount=7)
        await team.do("limits.set", asked=asked)
        async with ada.raw("/limits") as answer:
            text = await answer.text()
            assert answer.status == 200
            assert "&lt;i&gt;x&lt;/i&gt;" in text
            assert "<i>x" not in text


async def weights(team: Team) -> dict[str, float]:
    return {one.id: one.weight for one in (await team.do("accounts.list")).items}


async def test_an_account_is_given_another_share_in_line(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme", "beta") as team, browsing(team, await team.person("ada")) as ada:
        assert 'value="1" aria-label="Weight of acme"' in (await ada.get("/limits")).text
        done = await ada.post("/limits/shares/acme", weight=" 2.5 ")
        assert (done.status, done.location) == (303, "/limits?done=shared")
        assert await weights(team) == {"acme": 2.5, "beta": 1.0}
        shown = (await ada.get(done.location)).text
        assert "Saved. Requests that wait" in shown
        assert 'value="2.5" aria-label="Weight of acme"' in shown
        for weight in ("0", "-1", "nan", "heavy", "1001", ""):
            answer = await ada.post("/limits/shares/acme", weight=weight)
            assert answer.status == 422
            assert f'value="{weight}" aria-label="Weight of acme"' in answer.text
            assert 'value="1" aria-label="Weight of beta"' in answer.text
            assert "<b>weight</b>: must be" in answer.text
        assert await weights(team) == {"acme": 2.5, "beta": 1.0}
        assert (await ada.post("/limits/shares/none", weight="2")).status == 404


async def test_a_member_gives_no_account_another_share(tmp_path: Path) -> None:
    async with (
        team_serving(tmp_path, "acme") as team,
        browsing(team, await team.person("bob", "member", ["acme"])) as bob,
    ):
        assert "Shares in line" not in (await bob.get("/limits")).text
        assert (await bob.post("/limits/shares/acme", weight="9")).status == 403
        assert (await bob.post("/limits/shares/acme", weight="9", site="cross-site")).status == 403
        assert await weights(team) == {"acme": 1.0}


async def test_a_member_whom_nothing_limits_learns_what_would_stand_there(tmp_path: Path) -> None:
    async with (
        team_serving(tmp_path, "acme") as team,
        browsing(team, await team.person("ben", "member", ["acme"])) as ben,
    ):
        assert "Nothing limits you. If an admin limits you" in (await ben.get("/limits")).text
        refused = await ben.get("/people")
        assert refused.status == 403
        assert "may not do this (people.change). Ask an admin to do it." in refused.text
