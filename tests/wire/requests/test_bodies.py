"""Table B: bodies. They are measured and bounded, never parsed: what goes up is what came, byte for byte."""

import hashlib
import json
import threading
import zlib

import pytest

from tests.harness import contract, scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.bodies import GOOD, MESSAGE_BYTES, MIB, Ping, chat_with, passes_untouched
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import until_left
from tests.harness.sockets.wire_client import chunked, request

# --- what is in it


@pytest.mark.parametrize("endpoint", [path for path, method in scene.ENDPOINTS.items() if method == "POST"])
@pytest.mark.parametrize(
    "data", [b"Content-Length: 0\r\n\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
)
def test_B1_no_body_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream, endpoint: str, data: bytes) -> None:
    head = request(scene.BASE + endpoint, key=scene.KEY)
    with gateway.connect() as client:
        assert contract.EMPTY_BODY.is_kept_by(client.ask(head[:-2] + data))
        assert upstream.requests == []
        assert client.ask(GOOD).status == 200  # the connection is in order


NOT_QUITE_JSON = {
    "brace": b"{",
    "list": b"[]",
    "string": b'"x"',
    "null": b"null",
    "nan": b'{"temperature": NaN}',
    "bom": b"\xef\xbb\xbf" + scene.BODY,
    "utf16": scene.BODY.decode().encode("utf-16"),
    "bad utf8": b'{"a":"\xff\xfe\xc0\x80"}',
    "trailing": scene.BODY + b"garbage",
    "two": scene.BODY + b"\n" + scene.BODY,
    "one byte": b"x",
    "zero byte": b"\0",
    "http": GOOD.replace(scene.KEY.encode(), b"x"),
}
EXTREME_JSON = {
    "deep": b"[" * 100_000,
    "long number": b'{"n":' + b"9" * 5000 + b"}",
    "1e400": b'{"n":1e400}',
    "surrogate": b'{"a":"\\ud800"}',
    "two models": b'{"model":"a","model":"b"}',
}
MODELS_AND_STREAMS = {
    "no model": b'{"messages":[]}',
    "model number": b'{"model":1}',
    "model 1 MB": b'{"model":"' + b"m" * 1_000_000 + b'"}',
    "foreign model": b'{"model":"foreign","stream":false}',
    "stream string": b'{"stream":"true"}',
    "stream 1": b'{"stream":1}',
    "stream null": b'{"stream":null}',
    "many messages": json.dumps({"messages": [{"role": "user", "content": ""}] * 20_000}).encode(),
    "unknown": b'{"zzz" : [1.0,1e2, "\\u0041"],"":{}}',
}


@pytest.mark.parametrize("body", NOT_QUITE_JSON.values(), ids=NOT_QUITE_JSON)
def test_B1_what_is_not_json_is_the_model_servers_business(
    gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes
) -> None:
    assert passes_untouched(gateway, upstream, body)


@pytest.mark.parametrize("body", EXTREME_JSON.values(), ids=EXTREME_JSON)
def test_B2_extreme_json_passes_byte_for_byte(gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes) -> None:
    assert passes_untouched(gateway, upstream, body)


@pytest.mark.parametrize("body", MODELS_AND_STREAMS.values(), ids=MODELS_AND_STREAMS)
def test_B3_models_and_unknown_fields_pass_byte_for_byte(
    gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes
) -> None:
    if len(body) <= MESSAGE_BYTES:
        assert passes_untouched(gateway, upstream, body)
    else:
        assert gateway.ask(chat_with(body)).status == 200
        assert upstream.only_request.body == body


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "a", "x" * 2000, None],
)
def test_B4_the_content_type_passes_as_it_is(
    gateway: GatewayProcess, upstream: ScriptedUpstream, content_type: str | None
) -> None:
    headers = () if content_type is None else (f"Content-Type: {content_type}",)
    assert passes_untouched(gateway, upstream, scene.BODY, *headers)
    assert upstream.only_request.values("Content-Type") == ([] if content_type is None else [content_type])


# --- how long it is


@pytest.mark.parametrize(
    "size",
    [
        MESSAGE_BYTES - 1,
        MESSAGE_BYTES,
        MESSAGE_BYTES + 1,
        MIB + 1,
        8 * MIB,
        pytest.param(64 * MIB, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_B5_a_body_up_to_64_mib_arrives_whole(
    gateway: GatewayProcess, upstream: ScriptedUpstream, size: int, framing: str
) -> None:
    if size > 8 * MIB and framing == "chunked":
        size = 32 * MIB
    body = zlib.compress(b"").ljust(4093, b"\x01") * (size // 4093 + 1)
    body = body[:size]
    gateway.forget_peak()
    before = gateway.memory()
    with gateway.connect() as client:
        if framing == "length":
            client.send(chat_with(body))
        else:
            head = request(scene.CHAT, "Transfer-Encoding: chunked", key=scene.KEY)
            client.send(head + chunked(*(body[at : at + 70_000] for at in range(0, size, 70_000))))
        assert client.read_response().status == 200
    assert hashlib.sha256(upstream.only_request.body).digest() == hashlib.sha256(body).digest()
    assert gateway.peak_memory() - before < 24 * MIB


@pytest.mark.parametrize(("size", "status"), [(MIB - 1, 200), (MIB, 200), (MIB + 1, 413), (1 << 30, 413), (2**60, 413)])
def test_B5_a_declared_body_beyond_the_limit_is_413_unread(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream, size: int, status: int
) -> None:
    if status == 200:
        assert strict_gateway.ask(chat_with(b"x" * size)).status == 200
        assert len(upstream.only_request.body) == size
        return
    with strict_gateway.connect() as client:
        client.send(request(scene.CHAT, f"Content-Length: {size}", key=scene.KEY) + b"x" * 1000)
        response = client.read_response()
        assert contract.too_large(MIB).is_kept_by(response)
        assert response.header("Connection") == "close"
    assert upstream.requests == []


def test_B5_a_chunked_body_beyond_the_limit_is_413_and_ends_upstream(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    left = threading.Event()
    strict_gateway.forget_peak()
    before = strict_gateway.memory()
    with upstream.playing(until_left(left)), strict_gateway.connect() as client:
        client.send(request(scene.CHAT, "Transfer-Encoding: chunked", key=scene.KEY))
        for _ in range(64):
            if not client.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n"):
                break
        assert contract.too_large(MIB).is_kept_by(client.read_response())
        assert left.wait(PATIENCE)
    assert strict_gateway.peak_memory() - before < 8 * MIB


# --- how it is encoded


def bomb() -> bytes:
    """10 KB that unpack to 10 MB."""
    return zlib.compress(bytes(10 * MIB), 9)


@pytest.mark.parametrize(
    "coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip", "identity, gzip", "nonsense", ""]
)
@pytest.mark.parametrize("body", [b"\x1f\x8b\x08\x00 no gzip", scene.BODY, bomb()], ids=["bad", "plain", "bomb"])
def test_B13_B14_an_encoded_body_is_415_and_never_unpacked(
    gateway: GatewayProcess, upstream: ScriptedUpstream, coding: str, body: bytes
) -> None:
    before = gateway.memory()
    assert contract.ENCODED_BODY.is_kept_by(gateway.ask(chat_with(body, f"Content-Encoding: {coding}")))
    assert upstream.requests == []
    assert gateway.memory() - before < 4 * MIB


def test_B13_two_codings_in_two_headers_are_415(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    twice = ("Content-Encoding: identity", "Content-Encoding: gzip")
    for headers in (twice, twice[::-1]):
        assert contract.is_a_refusal(gateway.ask(chat_with(scene.BODY, *headers)), 400, 415)
    assert upstream.requests == []


def test_B13_identity_is_no_encoding(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert passes_untouched(gateway, upstream, scene.BODY, "Content-Encoding: identity")
    assert upstream.only_request.values("Content-Encoding") == []


# --- what others read in it, and how much there is of it


def test_B20_fields_of_other_gateways_are_only_fields(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    trap = ScriptedUpstream()
    fields = {
        **dict.fromkeys(("api_base", "base_url", "endpoint", "custom_host", "proxy", "callback"), trap.url),
        "api_key": "x",
        "custom_llm_provider": "openai",
        "headers": {"x": "y"},
        "extra_headers": {"Host": "evil"},
        "id_slot": 0,
        "slot_id": 0,
        "lora": [{"id": 0, "scale": 9}],
        "n_predict": -1,
        "max_tokens": 10**12,
        "grammar": "root ::= " + "x" * 100_000,
        "model": "foreign",
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
            for url in ("file:///etc/passwd", f"{trap.url}/image.png", "http://169.254.169.254/latest/meta-data")
        ],
    }
    try:
        assert passes_untouched(gateway, upstream, json.dumps(fields).encode())
        assert trap.requests == []
        assert trap.connections == 0
    finally:
        trap.close()


@pytest.mark.slow
def test_B21_many_long_prompts_at_once_stay_out_of_memory_and_block_nobody(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    count, size = 20, 4 * MIB
    body = b"{" + b" " * (size - 2) + b"}"
    gateway.forget_peak()
    before = gateway.memory()
    with Ping(gateway) as ping:
        clients = [gateway.connect() for _ in range(count)]
        senders = [threading.Thread(target=client.send, args=(chat_with(body),)) for client in clients]
        for sender in senders:
            sender.start()
        assert [client.read_response().status for client in clients] == [200] * count
        for sender in senders:
            sender.join()
    assert [len(received.body) for received in upstream.requests] == [size] * count
    assert gateway.peak_memory() - before < count * size
    assert ping.answers > 0
    assert ping.worst < 1
