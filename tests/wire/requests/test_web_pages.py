"""What a browser is told, seen on the socket: preflights, answers and refusals, by both ways in."""

import re

import pytest

from tests.harness import contract, scene
from tests.harness.processes.fleet import Fleet, StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.witness import BODY_BYTES, echo, warm, was_fast, witnessed_config
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat
from tests.harness.sockets.upstream_visit import Script, Visit
from tests.harness.sockets.wire_client import Response, chunked, request

PAGE = "http://localhost:3000"
STRANGER = "http://localhost:3000.evil.example"
ORIGINS = "[https://app.example.org, 'http://localhost:*']"
EXPOSED = "x-request-id, request-id, retry-after, x-should-retry, *"
WAYS = {"fast": "", "by aiohttp": "?x=y!"}


def config(upstream: str, origins: str = ORIGINS) -> str:
    return witnessed_config(upstream).replace("server: {", f"server: {{cors_origins: {origins}, ", 1)


@pytest.fixture
def open_gateway(
    fleet: Fleet, gateway_loop: str, shared_upstream: ScriptedUpstream, witness: dict[str, str]
) -> GatewayProcess:
    """A gateway that pages of `ORIGINS` may call; it tells who takes the fast path."""
    return fleet.share(gateway_loop, config(shared_upstream.url), witness)


def preflight(
    target: str, origin: str = PAGE, method: str = "POST", names: str = "authorization,content-type"
) -> bytes:
    """What a browser asks before a page's request."""
    asked = (f"Access-Control-Request-Method: {method}", f"Access-Control-Request-Headers: {names}")
    return request(target, *asked, f"Origin: {origin}", method="OPTIONS")


def cors_of(response: Response) -> dict[str, str]:
    """The headers of an answer that CORS is about; none comes twice."""
    found = [(name, value) for name, value in response.headers if name.lower().startswith(("access-control-", "vary"))]
    assert len({name.lower() for name, _ in found}) == len(found), found
    return dict(found)


ALLOWED = {"Access-Control-Allow-Origin": PAGE, "Access-Control-Expose-Headers": EXPOSED, "Vary": "Origin"}
STRANGERS = {"Vary": "Origin"}


# --- preflights


@pytest.mark.parametrize(
    "target", [scene.CHAT, scene.MODELS, f"{scene.FOREIGN}/v1/messages", f"{scene.BASE}/v1/no", "/no"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_preflight_is_answered_without_a_key_whatever_it_asks_for(
    open_gateway: GatewayProcess, upstream: ScriptedUpstream, target: str, method: str
) -> None:
    names = "authorization,content-type,x-stainless-os"
    response = open_gateway.ask(preflight(target, method=method, names=names))
    assert (response.status, response.body) == (204, b"")
    assert cors_of(response) == {
        **ALLOWED,
        "Access-Control-Allow-Methods": method,
        "Access-Control-Allow-Headers": names,
        "Access-Control-Max-Age": "7200",
    }
    assert upstream.requests == []


def test_a_preflight_does_not_tell_which_deployments_there_are(open_gateway: GatewayProcess) -> None:
    answers = [open_gateway.ask(preflight(f"/api/gguf/{name}/v1/messages")) for name in ("demo", "foreign", "none")]
    heads = {re.sub(rb"(request-id|Date): [^\r]+", b"", answer.head) for answer in answers}
    assert len(heads) == 1


def test_a_preflight_of_another_origin_is_a_403_and_the_log_says_why(open_gateway: GatewayProcess) -> None:
    start = open_gateway.mark_log()
    for origin in (STRANGER, "https://other.example.org", "null", "x" * 500, f"http://{scene.KEY}"):
        response = open_gateway.ask(preflight(scene.CHAT, origin))
        assert contract.FOREIGN_ORIGIN.is_kept_by(response)
        assert cors_of(response) == STRANGERS
    assert open_gateway.log.wait_for(r"https://other.example.org is not in server.cors_origins", start=start)


def test_what_is_no_preflight_is_not_answered_as_one(open_gateway: GatewayProcess) -> None:
    for lines in ((f"Origin: {PAGE}",), ("Access-Control-Request-Method: POST",), ()):
        assert contract.BAD_KEY.is_kept_by(open_gateway.ask(request(scene.CHAT, *lines, method="OPTIONS")))


def test_a_preflight_leaves_the_fast_path_to_the_request_behind_it(
    open_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    warm(open_gateway, upstream)
    start = open_gateway.mark_log()
    with open_gateway.connect() as client:
        for number in range(3):
            assert client.ask(preflight(scene.CHAT)).status == 204
            open_gateway.mark_log()  # by then aiohttp is done with it
            answer = client.ask(chat("demo", f"Origin: {PAGE}", f"x-request-id: page-{number}"))
            assert (answer.status, cors_of(answer)) == (200, ALLOWED)
    assert all(was_fast(open_gateway, f"page-{number}", start) for number in range(3))


def test_a_preflight_and_requests_sent_at_once_are_answered_in_turn(
    open_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    asked = [preflight(scene.CHAT), chat("demo", ORIGIN, body=b"one"), preflight(scene.MODELS), chat("paused", ORIGIN)]
    for pieces in ([b"".join(asked)], asked, [byte.to_bytes() for byte in b"".join(asked)]):
        with upstream.playing(echo), open_gateway.connect() as client:
            for piece in pieces:
                client.send(piece)
            answers = [client.read_response() for _ in asked]
        assert [answer.status for answer in answers] == [204, 200, 204, 503]
        assert answers[1].body == b"one"
        assert all(cors_of(answer)["Vary"] == "Origin" for answer in answers)


@pytest.mark.parametrize("value", ["GET\tX", "G(T", ""])
def test_a_preflight_repeats_nothing_but_names(open_gateway: GatewayProcess, value: str) -> None:
    response = open_gateway.ask(preflight(scene.CHAT, method=value, names=f"{value or '{}'}, a b"))
    assert response.status == 204
    assert cors_of(response).keys() == {*ALLOWED, "Access-Control-Max-Age"}


# --- answers


def whole(visit: Visit) -> None:
    visit.read_body()
    visit.answer(b"{}", "200 OK", *OF_THE_MODEL_SERVER, b"Retry-After: 7")


def streamed(visit: Visit) -> None:
    visit.read_body()
    visit.begin_stream(*OF_THE_MODEL_SERVER)
    visit.send(chunked(EVENT, DONE))


def faulty(visit: Visit) -> None:
    visit.read_body()
    visit.answer(b'{"error":{}}', "400 Bad Request", *OF_THE_MODEL_SERVER)


OF_THE_MODEL_SERVER = (
    b"Access-Control-Allow-Origin: " + PAGE.encode(),
    b"Access-Control-Allow-Credentials: true",
    b"Access-Control-Expose-Headers: x-secret",
    b"Vary: Accept",
)


@pytest.mark.slow
@pytest.mark.parametrize("script", [whole, streamed, faulty])
def test_an_answer_says_once_which_pages_may_read_it(
    open_gateway: GatewayProcess, upstream: ScriptedUpstream, script: Script
) -> None:
    warm(open_gateway, upstream)
    start = open_gateway.mark_log()
    with upstream.playing(script):
        for way, query in WAYS.items():
            for name, line, expected in (
                ("page", f"Origin: {PAGE}", ALLOWED),
                ("stranger", f"Origin: {STRANGER}", STRANGERS),
                ("program", "Accept: */*", STRANGERS),
            ):
                sent = request(scene.CHAT + query, line, f"x-request-id: {name}", key=scene.KEY, body=b"{}")
                response = open_gateway.ask(sent)
                assert cors_of(response) == expected, (way, name)
                assert was_fast(open_gateway, name, start) == (way == "fast")
            start = open_gateway.mark_log()


@pytest.mark.parametrize("query", WAYS.values(), ids=WAYS)
def test_without_origins_no_page_may_read_and_nothing_is_said(
    gateway: GatewayProcess, upstream: ScriptedUpstream, query: str
) -> None:
    with upstream.playing(whole):
        response = gateway.ask(request(scene.CHAT + query, f"Origin: {PAGE}", key=scene.KEY, body=b"{}"))
    assert response.status == 200
    assert cors_of(response) == {}
    refused = gateway.ask(preflight(scene.CHAT))
    assert contract.FOREIGN_ORIGIN.is_kept_by(refused)
    assert cors_of(refused) == {}


def test_a_star_lets_every_page_read_and_no_cookie_pass(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(config(upstream.url, '["*"]'))
    assert gateway.log.says("Web pages of every origin may call the gateway")
    for origin in (PAGE, "null"):
        assert gateway.ask(preflight(scene.CHAT, origin)).status == 204
        expected = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
        assert cors_of(gateway.ask(chat("demo", f"Origin: {origin}"))) == expected


# --- refusals


def silent(visit: Visit) -> None:
    visit.read_body()
    visit.wait_until_left()


def loading(visit: Visit) -> None:
    visit.read_body()
    visit.answer(b'{"error":{"message":"Loading model","code":503}}', "503 Service Unavailable")


ORIGIN = f"Origin: {PAGE}"
REFUSED = {
    "400": (400, chat("demo", ORIGIN, body=b"")),
    "400 of its head": (400, request("/%", ORIGIN, method="GET")),
    "401": (401, chat("demo", ORIGIN, key=None)),
    "401 of the gateway's own": (401, request(f"{scene.BASE}/v1/no", ORIGIN, method="GET")),
    "404": (404, chat("foreign", ORIGIN)),
    "404 of a path": (404, request("/v1/chat/completions", ORIGIN, key=scene.KEY, body=scene.BODY)),
    "405": (405, chat("demo", ORIGIN, method="DELETE", body=None)),
    "413": (413, chat("demo", ORIGIN, body=b"x" * (BODY_BYTES + 1))),
    "415": (415, chat("demo", ORIGIN, "Content-Encoding: gzip")),
    "417": (417, chat("demo", ORIGIN, "Expect: something")),
    "503": (503, chat("paused", ORIGIN)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_page_may_read_each_refusal(open_gateway: GatewayProcess, name: str) -> None:
    status, data = REFUSED[name]
    response = open_gateway.ask(data)
    assert contract.is_a_refusal(response, status)
    assert cors_of(response) == ALLOWED
    other = open_gateway.ask(data.replace(PAGE.encode(), STRANGER.encode()))
    assert contract.is_a_refusal(other, status)
    assert cors_of(other) == STRANGERS


@pytest.mark.slow
@pytest.mark.parametrize("query", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("script", "promise"), [(silent, contract.TIMED_OUT), (loading, contract.UNREACHABLE)])
def test_a_page_may_read_that_the_model_server_failed(
    open_gateway: GatewayProcess, upstream: ScriptedUpstream, script: Script, promise: contract.Promise, query: str
) -> None:
    warm(open_gateway, upstream, "brisk")
    start = open_gateway.mark_log()
    sent = request(f"/api/gguf/brisk/v1/completions{query}", ORIGIN, "x-request-id: failed", key=scene.KEY, body=b"{}")
    with upstream.playing(script):
        response = open_gateway.ask(sent)
    assert promise.is_kept_by(response)
    assert cors_of(response) == ALLOWED
    assert was_fast(open_gateway, "failed", start) == (not query)


# --- what is not for pages


@pytest.mark.parametrize("path", ["/", "/metrics", "/static/status.js"])
def test_no_page_may_read_what_is_the_operators(open_gateway: GatewayProcess, path: str) -> None:
    response = open_gateway.ask(request(path, ORIGIN, method="GET", host=f"127.0.0.1:{open_gateway.port}"))
    assert response.status == 200
    assert cors_of(response) == {}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", f"{scene.BASE}/api/hello"])
def test_a_page_may_read_whether_the_gateway_is_there(open_gateway: GatewayProcess, path: str) -> None:
    assert cors_of(open_gateway.ask(request(path, ORIGIN, method="GET"))) == ALLOWED


LONG_HEADER = "x-long: " + "x" * 9000


@pytest.mark.parametrize("order", [(ORIGIN, LONG_HEADER), (LONG_HEADER, ORIGIN)], ids=["before", "behind"])
@pytest.mark.parametrize("behind_another", [False, True])
def test_a_page_can_read_why_its_head_could_not_be_read(
    open_gateway: GatewayProcess, upstream: ScriptedUpstream, order: tuple[str, str], behind_another: bool
) -> None:
    with open_gateway.connect() as client:
        if behind_another:
            assert client.ask(chat("demo", "Origin: https://app.example.org")).status == 200
        client.send(chat("demo", *order))
        response = client.read_response()
    assert contract.bad_request("a line of its head is longer than 8190 bytes").is_kept_by(response)
    assert cors_of(response) == ALLOWED


def test_an_origin_that_came_before_the_unreadable_line_is_remembered(open_gateway: GatewayProcess) -> None:
    head = chat("demo", ORIGIN, "bad header: x", body=b"x" * 100)
    for size in (1, 7, 60):
        with open_gateway.connect() as client:
            for at in range(0, len(head), size):
                client.send(head[at : at + size])
            response = client.read_response()
        assert (response.status, cors_of(response)) == (400, ALLOWED)


@pytest.mark.parametrize(
    "lines", [(f"Origin: {STRANGER}",), (), (ORIGIN, "Origin: https://app.example.org"), ("Origin: a b",)], ids=str
)
def test_an_unreadable_head_that_names_no_good_origin_allows_none(
    open_gateway: GatewayProcess, lines: tuple[str, ...]
) -> None:
    response = open_gateway.ask(chat("demo", *lines, "bad header: x"))
    assert (response.status, cors_of(response)) == (400, STRANGERS)
