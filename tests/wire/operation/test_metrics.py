"""What is noted of what passes, in the log and in `/metrics`: tokens, how it ended; bounded names; who may read it."""

import itertools
import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import contract, scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import EVENT, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import request

RECORDINGS = Path(__file__).parents[2] / "recordings"
_names = itertools.count()

Sample = tuple[str, tuple[tuple[str, str], ...]]


def line_of(gateway: GatewayProcess, name: str, start: int) -> dict[str, Any]:
    """The log's line of a request, from line `start` on."""
    line: dict[str, Any] = json.loads(gateway.log.wait_for(f'"{name}"', start=start).string)
    return line


def samples(gateway: GatewayProcess) -> Counter[Sample]:
    """Everything that /metrics says, by name and labels; a format that Prometheus cannot read fails."""
    found: Counter[Sample] = Counter()
    for family in text_string_to_metric_families(gateway.metrics()):
        assert family.documentation
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value  # type: ignore[assignment]
    return found


def sample(name: str, **labels: str) -> Sample:
    return name, tuple(sorted(labels.items()))


# --- tokens


def recordings() -> Iterator[Any]:
    """What a real llama-server answered on the proxied endpoints."""
    for name in ("ready", "embedding", "reranking"):
        for exchange in json.loads((RECORDINGS / f"{name}.json").read_text()):
            path = exchange["request"]["path"].partition("?")[0]
            if exchange["response"]["status"] == 200 and scene.ENDPOINTS.get(path) == exchange["request"]["method"]:
                yield pytest.param(path, exchange["response"], id=f"{name}: {exchange['name']}")


def usage_in(answer: str) -> tuple[int, int] | None:
    """Tokens in and out, by the words of all events of an answer."""
    texts = re.findall(r"^data: (\{.*)$", answer, re.MULTILINE) or [answer]
    usage: dict[str, Any] = {}
    timings: dict[str, Any] = {}
    for event in map(json.loads, texts):
        for holder in (event, event.get("message", {}), event.get("response", {})):
            usage |= holder.get("usage") or {}
            timings = holder.get("timings") or timings
    if not usage and not timings:
        return None
    cached = usage.get("cache_read_input_tokens", 0)
    prompt = usage.get(
        "prompt_tokens", usage.get("input_tokens", timings.get("prompt_n", 0) + timings.get("cache_n", 0))
    )
    return prompt + cached, usage.get("completion_tokens", usage.get("output_tokens", timings.get("predicted_n", 0)))


@pytest.mark.parametrize("step", [None, 1000, 7], ids=["as recorded", "in pieces", "in crumbs"])
@pytest.mark.parametrize(("path", "recorded"), list(recordings()))
def test_the_tokens_of_every_recorded_answer_are_noted(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, path: str, recorded: dict[str, Any], step: int | None
) -> None:
    chunks = [chunk.encode() for chunk in recorded["chunks"]]
    answer = b"".join(chunks)
    pieces = chunks if step is None else [answer[at : at + step] for at in range(0, len(answer), step)]
    kept = [f"{name}: {value}".encode() for name, value in recorded["headers"] if name != "Content-Length"]

    def play(visit: Visit) -> None:
        visit.read_body()
        visit.send(b"\r\n".join((b"HTTP/1.1 200 OK", *kept)) + b"\r\n")
        if b"Transfer-Encoding: chunked" not in kept:
            visit.send(b"Content-Length: %d\r\n\r\n" % len(answer), *pieces)
            return
        visit.send(b"\r\n")
        for piece in (*pieces, b""):
            visit.chunk(piece)

    name, start = f"tokens-{next(_names)}", len(relay_gateway.log.lines)
    method = scene.ENDPOINTS[path]
    body = scene.BODY if method == "POST" else None
    with upstream.playing(play):
        response = relay_gateway.ask(chat("demo", f"x-request-id: {name}", path=path, method=method, body=body))
    assert response.whole
    assert response.body == answer
    line = line_of(relay_gateway, name, start)
    noted = (line["tokens_in"], line["tokens_out"]) if "tokens_in" in line else None
    assert noted == usage_in(answer.decode())
    assert line["ending"] == "finished"
    assert line["bytes_out"] == len(answer)
    assert 0 <= line["first_byte_ms"] <= line["total_ms"]


def test_the_tokens_of_json_that_is_written_with_spaces_are_noted_too(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    start = relay_gateway.mark_log()
    with upstream.playing(lambda visit: visit.answer(b'{ "usage" : {"x":1}, "usage": { "prompt_tokens": 3 } }')):
        relay_gateway.ask(chat("demo", "x-request-id: spaced"))
    assert line_of(relay_gateway, "spaced", start)["tokens_in"] == 3


HUGE = b"9" * 400
NOT_TO_BE_COUNTED = {
    "in the text of an answer": b'{"content":"\\"usage\\":{\\"prompt_tokens\\":7,\\"completion_tokens\\":7}"}',
    "of other types": b'{"usage":{"prompt_tokens":"7","completion_tokens":[7]}}',
    "negative": b'{"usage":{"prompt_tokens":-7,"completion_tokens":-1}}',
    "no numbers": b'{"usage":{"prompt_tokens":NaN,"completion_tokens":Infinity}}',
    "true": b'{"usage":{"prompt_tokens":true,"completion_tokens":true}}',
    "huge": b'{"usage":{"prompt_tokens":%b,"completion_tokens":%b},"timings":{"predicted_per_second":%b}}'
    % ((HUGE,) * 3),
    "infinite": b'{"usage":{"prompt_tokens":1e999},"timings":{"predicted_per_second":1e999}}',
    "of 5000 digits": b'{"usage":{"prompt_tokens":%b}}' % (b"9" * 5000),
    "null": b'{"usage":null,"timings":null}',
    "a list": b'{"usage":[1,2]}',
    "deep": b'{"usage":' + b"[" * 3000,
    "cut": b'{"usage":{"prompt_tokens":7',
    "no JSON": b'\xff\xfe"usage":{\x00',
}


@pytest.mark.slow
@pytest.mark.parametrize("answer", NOT_TO_BE_COUNTED.values(), ids=NOT_TO_BE_COUNTED)
def test_what_only_looks_like_tokens_spoils_neither_log_nor_metrics(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, answer: bytes
) -> None:
    before = samples(relay_gateway)
    name, start = f"odd-{next(_names)}", len(relay_gateway.log.lines)
    with upstream.playing(lambda visit: visit.answer(answer)):
        assert relay_gateway.ask(chat("demo", f"x-request-id: {name}")).body == answer
    line = line_of(relay_gateway, name, start)
    assert (line.get("tokens_in") or 0, line.get("tokens_out") or 0) == (0, 0)
    after = samples(relay_gateway)
    for kind in ("in", "out", "cached"):
        asked = sample("gguf_tokens_total", deployment="demo", kind=kind)
        assert after[asked] == before[asked]


# --- what is counted


def test_everything_that_happened_is_counted_once_under_its_name(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    chat_path = "/v1/chat/completions"
    before = samples(relay_gateway)

    def cut(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        visit.wait_until_left(0.05)
        visit.close()

    def tell(visit: Visit) -> None:
        visit.read_body()
        visit.answer(b'{"usage":{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2}}}')

    with upstream.playing(tell):
        for _ in range(3):
            relay_gateway.ask(chat())
        relay_gateway.ask(chat(path="/v1/messages"))
    with upstream.playing(cut):
        relay_gateway.ask(chat())
    with upstream.playing(lambda visit: visit.answer(b"{}", "400 Bad Request")):
        relay_gateway.ask(chat())
    relay_gateway.ask(chat("closed"))
    relay_gateway.ask(chat("paused"))
    relay_gateway.ask(chat(key="gw_bad"))
    relay_gateway.ask(b"nonsense\r\n\r\n")
    after = samples(relay_gateway)

    def grown(name: str, **labels: str) -> float:
        asked = sample(name, **labels)
        return after[asked] - before[asked]

    def requests(status: str, ending: str, deployment: str = "demo", endpoint: str = chat_path) -> float:
        return grown("gguf_requests_total", deployment=deployment, endpoint=endpoint, status=status, ending=ending)

    assert requests("200", "finished") == 3
    assert requests("200", "finished", endpoint="/v1/messages") == 1
    assert requests("200", "upstream_cut") == 1
    assert requests("400", "finished") == 1
    assert requests("502", "refused", "closed") == 1
    assert requests("503", "refused", "paused") == 1
    refusals = {reason: grown("gguf_refusals_total", reason=reason) for reason in ("unreachable", "paused", "bad_key")}
    assert refusals == {"unreachable": 1, "paused": 1, "bad_key": 1}
    assert grown("gguf_refusals_total", reason="bad_request") == 1
    tokens = [grown("gguf_tokens_total", deployment="demo", kind=kind) for kind in ("in", "out", "cached")]
    assert tokens == [20, 28 + 2, 8]  # two events had passed of the one that was cut
    assert grown("gguf_body_bytes_total", deployment="demo", direction="in") == 6 * len(scene.BODY)
    assert grown("gguf_body_bytes_total", deployment="demo", direction="out") > 4 * 80
    for name in ("gguf_first_byte_seconds", "gguf_duration_seconds"):
        assert grown(f"{name}_count", deployment="demo", endpoint=chat_path) == 5
        assert grown(f"{name}_bucket", deployment="demo", endpoint=chat_path, le="+Inf") == 5
        assert 0 < grown(f"{name}_sum", deployment="demo", endpoint=chat_path) < 5
    assert grown("gguf_duration_seconds_count", deployment="closed", endpoint=chat_path) == 1
    assert grown("gguf_first_byte_seconds_count", deployment="closed", endpoint=chat_path) == 0


def test_how_things_stand_is_told(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    def hold(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        visit.wait_until_left()

    with upstream.playing(hold), relay_gateway.connect() as client:
        client.send(chat("bare"))
        client.read_head()
        seen = samples(relay_gateway)
        client.close()
    assert seen[sample("gguf_open_exchanges", deployment="bare")] == 1
    assert seen[sample("gguf_open_exchanges", deployment="demo")] == 0
    assert seen[sample("gguf_upstream_connections", deployment="bare", state="in_use")] == 1
    assert seen[sample("gguf_deployment_status", deployment="bare", status="ready")] == 1
    assert seen[sample("gguf_deployment_status", deployment="paused", status="paused")] == 1
    assert seen[sample("gguf_configuration_stale")] == 0


def test_a_configuration_that_cannot_be_used_is_told_until_it_can(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    good = scene.config(upstream.url)
    gateway = start_gateway(good)
    stale = sample("gguf_configuration_stale")
    gateway.config.write_text("server: [\n")
    gateway.send_signal(signal.SIGHUP)
    gateway.log.wait_for("configuration not reloaded, keeping the previous one")
    assert samples(gateway)[stale] == 1
    assert gateway.ask(chat()).status == 200
    gateway.config.write_text(good + "  late: {account: acme, upstream: 'http://127.0.0.1:1', status: paused}\n")
    gateway.send_signal(signal.SIGHUP)
    while gateway.ask(chat("late")).status != 503:
        pass
    assert samples(gateway)[stale] == 0


def test_what_clients_make_up_becomes_no_name(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    def names(gateway: GatewayProcess) -> set[Sample]:
        return set(samples(gateway))

    relay_gateway.ask(chat("nowhere"))
    relay_gateway.ask(request("/nowhere", method="GET"))
    relay_gateway.ask(request(scene.CHAT, method="MADEUP", key=scene.KEY))
    relay_gateway.ask(chat(key=scene.TWIN_KEY))
    relay_gateway.ask(chat(key="gw_bad"))
    before = names(relay_gateway)
    for number in range(30):
        relay_gateway.ask(chat(f"made-up-{number}"))
        relay_gateway.ask(request(f"/made-up-{number}", method="GET"))
        relay_gateway.ask(request(f"{scene.BASE}/v1/made-up-{number}", key=scene.KEY, body=b"{}"))
        relay_gateway.ask(request(scene.CHAT, method=f"MADEUP{number}", key=scene.KEY))
        relay_gateway.ask(chat(key=f"gw_made_up_{number}"))
        relay_gateway.ask(chat(key=scene.TWIN_KEY))  # somebody else's deployment is nobody's business
    assert names(relay_gateway) - before == set()
    assert b"made-up" not in relay_gateway.metrics().encode()


# --- who may read it


def scrape(host: str, *headers: str, method: str = "GET") -> bytes:
    return request("/metrics", *headers, method=method, host=host)


@pytest.mark.parametrize(
    "sign", ["X-Forwarded-For: 203.0.113.1", "Forwarded: for=a", "X-Real-IP: 1.2.3.4", "Via: 1.1 a"]
)
def test_metrics_are_for_this_machine_and_not_through_a_proxy(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, sign: str
) -> None:
    host = f"127.0.0.1:{relay_gateway.port}"
    assert relay_gateway.ask(scrape(host)).status == 200
    assert contract.NO_SUCH_PATH.is_kept_by(relay_gateway.ask(scrape(host, sign)))


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test", "192.0.2.1"])
def test_metrics_are_not_told_under_a_name_that_is_not_ours(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, host: str
) -> None:
    assert relay_gateway.ask(scrape(host)).status == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_metrics_are_only_read(relay_gateway: GatewayProcess, upstream: ScriptedUpstream, method: str) -> None:
    assert relay_gateway.ask(scrape("localhost", method=method)).status == 405


@pytest.mark.parametrize(("shown_to", "status"), [("off", 404), ("everyone", 200)])
def test_metrics_are_for_nobody_or_for_everyone_where_it_is_said_so(
    start_gateway: StartGateway, upstream: ScriptedUpstream, shown_to: str, status: int
) -> None:
    gateway = start_gateway(scene.config(upstream.url, f"metrics: {shown_to}"))
    assert gateway.ask(scrape("any.test", "X-Forwarded-For: 203.0.113.1")).status == status
    assert gateway.ask(scrape("127.0.0.1")).status == status


def test_metrics_hold_no_secret_and_say_how_they_are_written(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    relay_gateway.ask(chat())
    response = relay_gateway.ask(scrape("localhost"))
    assert response.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert b"CANARY" not in response.body
    assert upstream.url.encode() not in response.body
