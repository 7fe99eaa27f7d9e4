"""`/`: who is shown the status page, who their deployments, and who the way in."""

from pathlib import Path

from aiohttp import ClientSession

from gateway.core.deployment import Deployment
from tests.harness.pages.status_pages import NOWHERE, serving
from tests.harness.pages.team_pages import COOKIE, team_serving

_ELSEWHERE = {"X-Forwarded-For": "192.0.2.7"}  # as from a proxy: not this machine


async def test_on_the_machine_it_is_the_status_page_with_a_way_in(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, ClientSession(team.url) as client:
        answer = await client.get("/")
        text = await answer.text()
        assert answer.status == 200
        assert '<a href="sign-in">Sign in</a>' in text
        assert "YAML" not in text


async def test_who_is_signed_in_is_led_to_the_deployments(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, ClientSession(team.url) as client:
        own = {"Cookie": f"{COOKIE}={await team.person('ada')}"}
        for headers in (own, own | _ELSEWHERE):
            answer = await client.get("/", headers=headers, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (303, "/deployments")
        ended = await client.get("/", headers={"Cookie": f"{COOKIE}=gws_nobodys"}, allow_redirects=False)
        assert ended.status == 200


async def test_who_may_not_see_the_status_page_is_led_to_the_sign_in(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, ClientSession(team.url) as client:
        answer = await client.get("/", headers=_ELSEWHERE, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
        below = {**_ELSEWHERE, "X-Forwarded-Prefix": "/models"}
        answer = await client.get("/", headers=below, allow_redirects=False)
        assert answer.headers["Location"] == "/models/sign-in"


async def test_with_a_yaml_file_it_says_why_nothing_can_be_changed() -> None:
    async with serving([Deployment("demo", "acme", NOWHERE)]) as gateway, ClientSession(gateway.url) as client:
        text = await (await client.get("/")).text()
        assert "Nothing can be changed here" in text
        assert "gguf-gateway import" in text
        assert "Sign in" not in text
        assert (await client.get("/", headers=_ELSEWHERE)).status == 404
