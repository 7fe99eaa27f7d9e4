"""The status page over HTTP: who gets in, what it shows and never shows, and that it never holds up a shutdown."""

import asyncio
import html
import json
import re
import shlex
import socket
from collections.abc import AsyncIterator
from time import monotonic

import pytest
from aiohttp import ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from gateway import __version__
from gateway.core.deployment import Deployment, Status
from gateway.registry.base import SourceProblem
from gateway.server.handlers.operator_access import is_from_here
from mockserver import MockLlamaServer
from tests.harness.patience import AT_ONCE, PATIENCE
from tests.harness.status_pages import HOSTILE, KEY, NOWHERE, UPSTREAM_KEY, Gateway, serving

PATHS = ("/", "/events", "/static/status.css")
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession(timeout=ClientTimeout(total=10)) as session:
        yield session


async def ask(client: ClientSession, url: str, **headers: str) -> int:
    """The status of the answer; its body is left unread, an event stream's has no end."""
    async with client.get(URL(url, encoded=True), headers={n.replace("_", "-"): v for n, v in headers.items()}) as got:
        return got.status


async def read_page(client: ClientSession, gateway: Gateway) -> str:
    async with client.get(gateway.url) as response:
        assert response.status == 200
        return await response.text()


class Parts:
    """The parts of the page as `/events` sends them."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response

    async def next(self) -> str:
        """The HTML of the next part."""
        while not (line := await self._response.content.readline()).startswith(b"data: "):
            assert line, "the stream ended"
        return str(json.loads(line.removeprefix(b"data: ")))

    async def until(self, words: str) -> str:
        """The first part that holds `words`."""
        async with asyncio.timeout(PATIENCE):
            while words not in (part := await self.next()):
                pass
            return part


# --- who gets in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "127.0.0.1:1234", "box.lan:80"])
async def test_on_loopback_it_answers_under_its_names_and_the_configured_ones(
    client: ClientSession, path: str, host: str
) -> None:
    async with serving(status_page_hosts=("box.lan",)) as gateway:
        assert await ask(client, gateway.url + path, Host=host) == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test", "192.0.2.1", "[fd00::2]"])
async def test_a_foreign_name_is_misdirected_whatever_address_it_resolves_to(
    client: ClientSession, path: str, host: str
) -> None:
    async with serving() as gateway:
        assert await ask(client, gateway.url + path, Host=host) == 421


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_a_proxy_on_this_machine_does_not_open_the_page_to_the_world(
    client: ClientSession, path: str, header: str
) -> None:
    async with serving() as gateway:
        assert await ask(client, gateway.url + path, **{header: "127.0.0.1"}) == 404


@pytest.mark.parametrize(
    ("peer", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:192.0.2.1", False),
        ("192.0.2.1", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("0.0.0.0", False),
        ("", False),
        (None, False),
    ],
)
def test_only_a_loopback_peer_is_from_here(peer: str | None, here: bool) -> None:
    assert is_from_here(peer) is here


@pytest.mark.parametrize("path", PATHS)
async def test_from_another_address_the_page_looks_like_any_unknown_path(client: ClientSession, path: str) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback's")
    async with serving(host="0.0.0.0") as gateway:
        outside = f"http://{address}:{gateway.port}"
        hidden = await client.get(outside + path, headers={"Host": "localhost"})
        nothing = await client.get(outside + "/nothing-here")
        assert (hidden.status, await hidden.read()) == (nothing.status, await nothing.read())
        assert hidden.headers.keys() == nothing.headers.keys()
        assert await ask(client, gateway.url + path) == 200


def own_address() -> str | None:
    """An address of this machine that is not loopback's. Connecting a UDP socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if is_from_here(address) else address


@pytest.mark.parametrize("path", PATHS)
async def test_off_is_off_for_loopback_too(client: ClientSession, path: str) -> None:
    async with serving(status_page="off") as gateway:
        assert await ask(client, gateway.url + path) == 404


@pytest.mark.parametrize("path", PATHS)
async def test_everyone_gets_in_under_any_name_when_so_configured(client: ClientSession, path: str) -> None:
    async with serving(status_page="everyone") as gateway:
        assert await ask(client, gateway.url + path, Host="gateway.example", X_Forwarded_For="192.0.2.9") == 200


async def test_everyone_may_be_held_to_the_configured_names(client: ClientSession) -> None:
    async with serving(status_page="everyone", status_page_hosts=("gateway.example",)) as gateway:
        assert await ask(client, gateway.url, Host="gateway.example:8443", Via="1.1 proxy") == 200
        assert await ask(client, gateway.url, Host="evil.test") == 421


async def test_a_request_without_a_host_is_not_shown_the_page() -> None:
    async with serving() as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"421"
        writer.close()


@pytest.mark.parametrize("shown_to", ["loopback", "everyone", "off"])
async def test_head_is_answered_for_anybody_and_reveals_nothing(client: ClientSession, shown_to: str) -> None:
    async with serving(status_page=shown_to) as gateway:
        response = await client.head(gateway.url, headers={"Host": "evil.test", "Via": "x"})
        assert response.status == 204
        assert "Content-Security-Policy" not in response.headers


# --- its files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/static/",
        "/static/.",
        "/static/..",
        "/static/../routes.py",
        "/static/%2e%2e/routes.py",
        "/static/..%2froutes.py",
        "/static/%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/status.css/",
        "/static/status.css%00",
        "/static/STATUS.CSS",
        "/static/status.html",
    ],
)
async def test_only_the_files_of_the_page_are_served_and_no_directory(client: ClientSession, path: str) -> None:
    async with serving() as gateway:
        assert await ask(client, gateway.url + path) == 404


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("status.css", "text/css"), ("status.js", "text/javascript"), ("favicon.svg", "image/svg+xml")],
)
async def test_its_files_are_typed_and_ask_for_nothing_from_elsewhere(
    client: ClientSession, name: str, content_type: str
) -> None:
    async with serving() as gateway, client.get(f"{gateway.url}/static/{name}") as response:
        assert response.content_type == content_type
        assert re.sub(r'xmlns="[^"]+"', "", await response.text()).count("://") == 0


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_carries_the_headers_that_keep_a_browser_strict(client: ClientSession, path: str) -> None:
    async with serving() as gateway, client.get(gateway.url + path, headers={"Origin": "https://evil.test"}) as got:
        assert got.headers["Content-Security-Policy"] == CSP
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Referrer-Policy"] == "no-referrer"
        assert got.headers["Cache-Control"] == "no-store"
        assert not [name for name in got.headers if name.lower().startswith("access-control-")]


async def test_the_page_needs_no_inline_style_script_or_handler(client: ClientSession) -> None:
    async with serving([Deployment("demo", "acme", NOWHERE)]) as gateway:
        page = await read_page(client, gateway)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=\"/static/)|javascript:", page)


# --- what it shows -------------------------------------------------------------------------------------------------


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


# --- live ----------------------------------------------------------------------------------------------------------


async def test_what_changes_is_sent_and_what_does_not_is_not(client: ClientSession) -> None:
    deployment = Deployment("demo", "acme", NOWHERE, status=Status.PAUSED)
    async with serving([deployment]) as gateway, client.get(f"{gateway.url}/events") as events:
        parts = Parts(events)
        assert events.content_type == "text/event-stream"
        first = [re.findall(r'<section id="(\w+)"', await parts.next()) for _ in range(4)]
        assert first == [["summary"], ["problem"], ["deployments"], ["refusals"]]
        gateway.registry.say(deployment, problem=SourceProblem(("one line",)))
        assert "one line" in await parts.next()


async def test_many_changes_are_one_update(client: ClientSession) -> None:
    async with serving() as gateway, client.get(f"{gateway.url}/events") as events:
        parts = Parts(events)
        await parts.until('id="refusals"')
        for number in range(50):
            gateway.registry.say(Deployment(f"d{number}", "acme", NOWHERE, status=Status.PAUSED))
        updates = [await parts.next(), await parts.next()]
        assert ["d49" in update for update in updates] == [False, True]


async def test_requests_under_way_are_counted(client: ClientSession) -> None:
    async with (
        MockLlamaServer(tokens_per_second=20) as mock,
        serving([Deployment("demo", "acme", mock.url)]) as gateway,
        client.get(f"{gateway.url}/events") as events,
    ):
        parts = Parts(events)
        await parts.until('"under-way">0<')
        body = {"stream": True, "max_tokens": 200, "messages": [{"role": "user", "content": "Hello"}]}
        url = f"{gateway.url}/api/gguf/demo/v1/chat/completions"
        async with client.post(url, json=body, headers={"x-api-key": KEY}):
            await parts.until('"under-way">1<')
        await parts.until('"under-way">0<')


async def test_watchers_do_not_hold_up_a_shutdown(client: ClientSession) -> None:
    async with serving() as gateway:
        watching = [await client.get(f"{gateway.url}/events") for _ in range(3)]
        for events in watching:
            await Parts(events).next()
        begun = monotonic()
        await gateway.stop()
        assert monotonic() - begun < AT_ONCE
        for events in watching:
            assert b"data: " in await events.read()  # a proper end, not a cut
