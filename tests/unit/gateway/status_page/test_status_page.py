"""The status page over HTTP: what it shows and never shows."""

import html
import re
import shlex

from aiohttp import ClientSession

from gateway import __version__
from gateway.core.deployment import Deployment, Status
from gateway.registry.base import SourceProblem
from mockserver import MockLlamaServer
from tests.harness.pages.status_pages import HOSTILE, KEY, NOWHERE, UPSTREAM_KEY, serving
from tests.unit.gateway.status_page.page_reading import Parts, read_page


async def test_it_shows_each_deployment_with_status_health_account_and_base_urls(client: ClientSession) -> None:
    async with MockLlamaServer() as mock:
        deployments = [
            Deployment("demo", "acme", mock.url),
            Deployment("resting", "widgets", mock.url, status=Status.PAUSED),
        ]
        async with serving(deployments) as gateway:
            page = await read_page(client, gateway)
    demo, resting = page.split('id="d-demo"')[1].split('id="d-resting"')
    assert "Ready" in demo
    assert ">auto<" in demo
    assert "<bdi>ok</bdi>" in demo
    assert "<bdi>acme</bdi>" in demo
    assert f'data-copy="{gateway.url}/api/gguf/demo/v1"' in demo
    assert f'data-copy="{gateway.url}/api/gguf/demo"' in demo
    assert "Bearer $GGUF_KEY" in demo
    assert "Paused" in resting
    assert ">pinned<" in resting
    assert "told to try again in 30 s" in resting
    assert __version__ in page


async def test_the_curl_command_streams_from_the_gateway(client: ClientSession) -> None:
    async with MockLlamaServer() as mock, serving([Deployment("demo", "acme", mock.url)]) as gateway:
        found = re.search(r'data-copy="(curl [^"]*)"', await read_page(client, gateway))
        assert found is not None
        command = shlex.split(html.unescape(found[1]).replace("\\\n", ""))
        assert [command[at] for at in (0, 1, 3, 5, 7)] == ["curl", "-N", "-H", "-H", "-d"]
        headers = dict(command[at].replace("$GGUF_KEY", KEY).split(": ", 1) for at in (4, 6))
        async with client.post(command[2], data=command[8], headers=headers) as response:
            output = await response.read()
    assert output.startswith(b"data: {")
    assert output.endswith(b"data: [DONE]\n\n")


async def test_it_says_what_was_refused_and_why_newest_first_and_alike_ones_once(client: ClientSession) -> None:
    async with serving([Deployment("demo", "acme", NOWHERE, status=Status.READY)]) as gateway:
        url = f"{gateway.url}/api/gguf/demo/v1/chat/completions"
        for key in ("wrong", "wrong", KEY):
            async with client.post(url, data=b"{}", headers={"x-api-key": key}) as response:
                await response.read()
        page = await read_page(client, gateway)
    refusals = page.split('id="refusals"')[1]
    newest, older = re.findall(r"<li class=\"row\".*?</li>", refusals, re.DOTALL)
    assert ">502<" in newest
    assert ">demo<" in newest
    assert "/v1/chat/completions" in newest
    assert "no connection" in newest
    assert ">401<" in older
    assert '2<span class="unseen"> times' in older


async def test_a_configuration_problem_is_shown_while_it_lasts(client: ClientSession) -> None:
    line = "gateway.yaml:7: deployments.demo.upstream: an upstream begins with http:// or https://"
    async with serving() as gateway:
        assert 'id="problem" hidden' in await read_page(client, gateway)
        gateway.registry.say(problem=SourceProblem((line,)))
        page = await read_page(client, gateway)
        assert line in page
        assert 'role="alert"' in page
        gateway.registry.say()
        assert line not in await read_page(client, gateway)


async def test_with_nothing_to_show_it_says_how_to_begin(client: ClientSession) -> None:
    async with serving() as gateway:
        page = await read_page(client, gateway)
    assert "gguf-gateway deployments add demo" in page
    assert "Nothing was refused" in page


async def test_no_secret_is_on_it(client: ClientSession) -> None:
    upstream = "http://user:pw-canary@127.0.0.1:9"
    deployment = Deployment("demo", "acme", upstream, upstream_key=UPSTREAM_KEY, status=Status.READY)
    async with serving([deployment]) as gateway:
        url = f"{gateway.url}/api/gguf/demo/v1/models"
        async with client.get(url, headers={"Authorization": f"Bearer {KEY}"}) as response:
            assert response.status == 502
        page = await read_page(client, gateway)
        async with client.get(f"{gateway.url}/events") as events:
            parts = await Parts(events).until('id="deployments"')
    for secret in (KEY, UPSTREAM_KEY, "pw-canary", "user:"):
        assert secret not in page + parts
    assert "http://127.0.0.1:9<" in page


async def test_where_an_upstream_listens_is_not_shown_to_everyone(client: ClientSession) -> None:
    async with serving([Deployment("demo", "acme", "http://inner.test:9931")], status_page="everyone") as gateway:
        assert "inner.test" not in await read_page(client, gateway)


async def test_hostile_names_are_escaped_in_the_page_and_in_its_updates(client: ClientSession) -> None:
    deployments = [Deployment(name, name, NOWHERE) for name in HOSTILE]
    async with serving(deployments) as gateway:
        gateway.registry.say(*deployments, problem=SourceProblem(HOSTILE))
        page = await read_page(client, gateway)
        async with client.get(f"{gateway.url}/events") as events:
            stream = Parts(events)
            parts = "".join([await stream.next() for _ in range(4)])
    for text in (page, parts):
        assert not re.search(r"<img src=x|<svg onload|<script>alert|' onfocus=alert\(5\) autofocus '[^&]*>", text)
        assert "49" not in re.findall(r"<bdi>([^<]*)</bdi>", text)
        assert "&lt;img src=x onerror=alert(1)&gt;" in text
