"""Table A: how a key is sent, and what is no key."""

import hashlib
import itertools
import time

import pytest

from tests.harness import contract, scene
from tests.harness.patience import AT_ONCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request
from tests.wire.requests.keys.asking import ask_models, is_refused

HEADERS = ("Authorization: Bearer ", "x-api-key: ", "key: ")
BAD = "gw_CANARYKEYnobody"


def test_A1_no_key_is_401_with_a_bare_challenge(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert is_refused(gateway, upstream)


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "key"])
@pytest.mark.parametrize("value", ["", " ", "Bearer", "Bearer ", "Bearer  ", "bearer \t "])
def test_A2_an_empty_key_is_401(gateway: GatewayProcess, upstream: ScriptedUpstream, name: str, value: str) -> None:
    assert is_refused(gateway, upstream, f"{name}: {value}")


@pytest.mark.parametrize(
    "value",
    [
        f"Basic {scene.KEY}",
        "Basic Z3dfQ0FOQVJZS0VZOng=",
        f"Token {scene.KEY}",
        f"ApiKey {scene.KEY}",
        scene.KEY,
        f"Bearer{scene.KEY}",
        f"Bearer:{scene.KEY}",
        f'Bearer token="{scene.KEY}"',
        f"{scene.KEY} Bearer",
    ],
)
def test_A3_another_scheme_and_a_bare_key_are_401(
    gateway: GatewayProcess, upstream: ScriptedUpstream, value: str
) -> None:
    assert is_refused(gateway, upstream, f"Authorization: {value}")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_A4_the_scheme_is_matched_in_any_case(gateway: GatewayProcess, scheme: str) -> None:
    assert gateway.ask(ask_models(f"aUTHORIZATION: {scheme} {scene.KEY}")).status == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Authorization: Bearer  {scene.KEY}", 200),
        (f"Authorization: Bearer {scene.KEY}  ", 200),
        (f"Authorization: \t Bearer \t{scene.KEY}\t", 200),
        (f"x-api-key:   {scene.KEY} \t", 200),
        (f"key:{scene.KEY}", 200),
        (f"Authorization: Bearer\t{scene.KEY}", 401),
        (f"Authorization: Bearer {scene.KEY[:10]} {scene.KEY[10:]}", 401),
        (f"Authorization: Bearer {scene.KEY},", 401),
        (f'x-api-key: "{scene.KEY}"', 401),
    ],
)
def test_A5_spaces_around_a_key_are_no_part_of_it(gateway: GatewayProcess, header: str, status: int) -> None:
    assert gateway.ask(ask_models(header)).status == status


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("other", [BAD, "", scene.TWIN_KEY])
@pytest.mark.parametrize("good_first", [True, False])
def test_A6_two_different_keys_in_one_header_are_401_in_both_orders(
    gateway: GatewayProcess, upstream: ScriptedUpstream, header: str, other: str, good_first: bool
) -> None:
    lines = [header + scene.KEY, header + other]
    assert is_refused(gateway, upstream, *(lines if good_first else lines[::-1]))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("keys", [(scene.KEY, BAD), (scene.KEY, scene.KEY, BAD), (scene.KEY, "")], ids=len)
def test_A7_headers_that_disagree_are_401_in_every_order(
    gateway: GatewayProcess, upstream: ScriptedUpstream, order: tuple[int, ...], keys: tuple[str, ...]
) -> None:
    lines = [HEADERS[place] + key for place, key in zip(order, keys, strict=False)]
    assert is_refused(gateway, upstream, *lines)
    assert is_refused(gateway, upstream, *reversed(lines))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_A8_the_same_key_in_several_headers_is_fine(gateway: GatewayProcess, count: int) -> None:
    for headers in itertools.permutations(HEADERS, count):
        assert gateway.ask(ask_models(*(header + scene.KEY for header in headers))).status == 200
    assert gateway.ask(ask_models(*[HEADERS[0] + scene.KEY] * 2)).status == 200


@pytest.mark.parametrize(("size", "status"), [(8000, 401), (8189, 400), (8191, 400), (1 << 16, 400), (1 << 20, 400)])
def test_A9_a_huge_key_is_refused_at_once_and_not_kept(gateway: GatewayProcess, size: int, status: int) -> None:
    def refused() -> None:
        with gateway.connect() as client:
            client.send(request(scene.CHAT, key="CANARYKEY" + "k" * (size - 9), body=b"{}"))
            assert contract.is_a_refusal(client.read_response(), status)

    refused()
    before, used = gateway.memory(), gateway.cpu_seconds()
    for _ in range(20):
        refused()
    assert gateway.cpu_seconds() - used < 4
    assert gateway.memory() - before < 16 << 20


@pytest.mark.parametrize(
    "key",
    [
        "ключ".encode(),
        b"\xe9\xff\x80",
        "🔑🔑".encode(),
        scene.KEY.replace("1", "１").encode(),
        scene.KEY.replace("K", "\u212a").encode(),  # the Kelvin sign: K after NFKC
        scene.KEY.encode() + "\u200b".encode(),
        scene.KEY.encode() + b"\xa0",
        scene.KEY.encode("utf-16-le").replace(b"\0", b"\xc0\x80"),
    ],
)
@pytest.mark.parametrize("header", HEADERS)
def test_A10_a_key_that_is_not_ascii_is_401(
    gateway: GatewayProcess, upstream: ScriptedUpstream, header: str, key: bytes
) -> None:
    assert is_refused(gateway, upstream, header.encode() + key)


@pytest.mark.parametrize("character", [b"\x00", b"\x01", b"\x0b", b"\x0c", b"\r", b"\n", b"\x1b", b"\x7f"])
@pytest.mark.parametrize("header", HEADERS)
def test_A11_a_control_character_in_a_key_is_400_and_nothing_is_echoed(
    gateway: GatewayProcess, upstream: ScriptedUpstream, header: str, character: bytes
) -> None:
    line = header.encode() + scene.KEY[:20].encode() + character + scene.KEY[20:].encode()
    with gateway.connect() as client:
        assert contract.is_a_refusal(client.ask(request(scene.CHAT, line, body=scene.BODY)), 400)
        assert client.is_closed()
    assert upstream.requests == []


def test_A11_a_tab_in_a_key_is_401(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert is_refused(gateway, upstream, f"x-api-key: {scene.KEY[:20]}\t{scene.KEY[20:]}")


INJECTIONS = (
    *("' OR '1'='1", '" OR ""="', "' OR 1=1--", "admin'--", "') OR ('1'='1", "' OR 'x'='x';#", "1' ORDER BY 3--+"),
    *("' UNION SELECT NULL,NULL--", "' UNION ALL SELECT digest FROM keys--", "'; DROP TABLE keys;--", "%", "_", "*"),
    *(
        "gw_%",
        "gw_*",
        "gw_.*",
        "^.*$",
        "' AND SLEEP(99)--",
        "'; WAITFOR DELAY '0:1:39'--",
        "' || pg_sleep(99)--",
        "\\x27",
    ),
    *("1 AND randomblob(1000000000)", "${jndi:ldap://127.0.0.1/a}", "{{7*7}}", "${7*7}", "<%= 7*7 %>", "#{7*7}"),
    *("%27%20OR%201=1", "%s%s%s%n", "{0}", "%(key)s", "$(id)", "`id`", "; id", "| id", "&& id", "../../etc/passwd"),
    *(
        "<script>alert(1)</script>",
        "*)(uid=*))(|(uid=*",
        '{"$ne": null}',
        '{"$gt": ""}',
        "[$ne]=1",
        "!!python/object:x",
    ),
    *(
        "__class__",
        "constructor",
        "' LIKE '%",
        "' GLOB '*",
        "x' AND 1=(SELECT COUNT(*) FROM keys)--",
        "\\",
        "'",
        '"',
        ";",
    ),
)


@pytest.mark.parametrize("header", HEADERS)
def test_A12_no_injection_is_a_key(gateway: GatewayProcess, upstream: ScriptedUpstream, header: str) -> None:
    with gateway.connect() as client:
        for injection in INJECTIONS:
            begun = time.perf_counter()
            assert contract.BAD_KEY.is_kept_by(client.ask(ask_models(header + injection))), injection
            assert time.perf_counter() - begun < AT_ONCE, injection
    assert upstream.requests == []


@pytest.mark.parametrize(
    "key", ["null", "undefined", "None", "true", "0", "[]", "{}", "nil", "NaN", "Bearer", f"Bearer {scene.KEY}"]
)
def test_A13_words_that_programs_send_for_nothing_are_401(
    gateway: GatewayProcess, upstream: ScriptedUpstream, key: str
) -> None:
    assert is_refused(gateway, upstream, f"Authorization: Bearer {key}")
    assert is_refused(gateway, upstream, f"x-api-key: {key}")


@pytest.mark.parametrize(
    "key",
    [
        scene.KEY + "0",
        scene.KEY[:-1],
        scene.KEY[1:],
        scene.KEY[:-1] + "3",
        scene.KEY.swapcase(),
        scene.KEY.lower(),
        scene.KEY.removeprefix("gw_"),
        "gw_" + scene.KEY,
        scene.KEY.replace("gw_", "sk-"),
        hashlib.sha256(scene.KEY.encode()).hexdigest(),
        "acme/main",
        "acme",
        "main",
        scene.UPSTREAM_KEY,
        scene.EXPIRED_KEY,
        scene.KEY + scene.KEY,
        f"{scene.KEY},{scene.KEY}",
    ],
)
def test_A14_what_resembles_a_key_is_401(gateway: GatewayProcess, upstream: ScriptedUpstream, key: str) -> None:
    assert is_refused(gateway, upstream, f"x-api-key: {key}")


def test_A14_any_key_that_a_person_chose_works_in_every_header(gateway: GatewayProcess) -> None:
    assert all(gateway.ask(ask_models(header + scene.HOMEMADE_KEY)).status == 200 for header in HEADERS)
