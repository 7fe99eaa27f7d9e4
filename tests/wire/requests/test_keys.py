"""Table A: authentication, ownership, enumeration."""

import hashlib
import itertools
import json
import os
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.harness import contract, scene
from tests.harness.fleet import StartGateway
from tests.harness.gateway_process import COMMAND, GatewayProcess
from tests.harness.patience import AT_ONCE, PATIENCE, wait_until
from tests.harness.scripted_upstream import ScriptedUpstream, Visit
from tests.harness.wire_client import WireClient, request

HEADERS = ("Authorization: Bearer ", "x-api-key: ", "key: ")
BAD = "gw_CANARYKEYnobody"


def ask_models(*headers: str | bytes, target: str = scene.MODELS, key: str | bytes | None = None) -> bytes:
    return request(target, *headers, method="GET", key=key)


def is_refused(gateway: GatewayProcess, upstream: ScriptedUpstream, *headers: str | bytes) -> bool:
    """Whether these headers get the 401 on an endpoint, and nothing gets through."""
    kept = contract.BAD_KEY.is_kept_by(gateway.ask(request(scene.CHAT, *headers, body=scene.BODY)))
    return kept and upstream.requests == []


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
    before, used = gateway.memory(), gateway.cpu_seconds()
    for _ in range(5):
        with gateway.connect() as client:
            client.send(request(scene.CHAT, key="CANARYKEY" + "k" * (size - 9), body=b"{}"))
            assert contract.is_a_refusal(client.read_response(), status)
    assert gateway.cpu_seconds() - used < 1
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


def test_A15_a_key_taken_out_of_the_file_is_401_without_a_restart(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    with gateway.connect() as client:
        assert client.ask(ask_models(key=scene.HOMEMADE_KEY)).status == 200
        text = gateway.config.read_text()
        gateway.config.write_text(text.replace(scene.HOMEMADE_KEY, "CANARYKEY-another-one"))
        gateway.log.wait_for("is in force")
        assert contract.BAD_KEY.is_kept_by(client.ask(ask_models(key=scene.HOMEMADE_KEY)))
        assert client.ask(ask_models(key="CANARYKEY-another-one")).status == 200


@pytest.mark.long
def test_A15_a_key_that_runs_out_is_401_and_its_running_stream_finishes(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    refused = threading.Event()

    def stream(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(b"data: 1\n\n")
        assert refused.wait(PATIENCE)
        visit.chunk(b"data: 2\n\n")
        visit.chunk(b"")

    def begin(client: WireClient) -> datetime:
        """Begin a stream with a key that runs out soon; when. Seconds that are too few here are doubled."""
        for seconds in (1.5, 3, 6, 12, 24):
            line = len(gateway.log.lines)
            ends = datetime.now(UTC) + timedelta(seconds=seconds)
            gateway.config.write_text(scene.config(upstream.url).replace("2020-01-01T00:00:00Z", ends.isoformat()))
            gateway.log.wait_for("is in force", start=line)
            client.send(request(scene.CHAT, key=scene.EXPIRED_KEY, body=b'{"stream":true}'))
            if client.read_head().startswith(b"HTTP/1.1 200"):
                return ends
            client.read_some()
        raise AssertionError("it always ran out before the stream began")

    with upstream.playing(stream), gateway.connect() as client, gateway.connect() as other:
        ends = begin(client)
        time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()))
        assert contract.BAD_KEY.is_kept_by(other.ask(ask_models(key=scene.EXPIRED_KEY)))
        refused.set()
        assert client.read_to_last_chunk() == b"data: 1\n\ndata: 2\n\n"


def _command(*words: str) -> Any:
    """Run `gguf-gateway` to its end; the JSON it prints."""
    done = subprocess.run((COMMAND[0], *words, "--json"), capture_output=True, text=True, check=True, timeout=PATIENCE)
    return json.loads(done.stdout)


@pytest.mark.long
def test_A15_a_key_revoked_in_the_database_is_401_in_every_gateway(
    start_gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    where = ("--database", str(tmp_path / "gateway.db"))
    (tmp_path / "import.yaml").write_text(scene.config(upstream.url))
    _command("import", str(tmp_path / "import.yaml"), *where)
    with closing(sqlite3.connect(where[1])) as database:
        ((main,),) = database.execute("SELECT id FROM keys WHERE account = 'acme' AND name = 'main'").fetchall()
    config = f"server: {{port: 0}}\ndatabase: sqlite+aiosqlite:///{where[1]}\n"
    gateways = [start_gateway(config) for _ in range(2)]
    for gateway in gateways:
        assert [gateway.ask(ask_models(key=key)).status for key in (scene.KEY, scene.HOMEMADE_KEY)] == [200, 200]
    _command("keys", "revoke", main, *where)
    for gateway in gateways:
        wait_until(lambda: gateway.ask(ask_models(key=scene.KEY)).status != 200)  # noqa: B023 (used before the next)
        assert contract.BAD_KEY.is_kept_by(gateway.ask(ask_models(key=scene.KEY)))
        assert gateway.ask(ask_models(key=scene.HOMEMADE_KEY)).status == 200


def test_A16_keys_that_differ_in_their_last_character_are_never_crossed(gateway: GatewayProcess) -> None:
    with gateway.connect() as client:
        for _ in range(200):
            for key, target, status in (
                (scene.KEY, scene.BASE, 200),
                (scene.TWIN_KEY, scene.BASE, 404),
                (scene.TWIN_KEY, scene.FOREIGN, 200),
                (scene.KEY, scene.FOREIGN, 404),
            ):
                assert client.ask(ask_models(target=f"{target}/v1/models", key=key)).status == status


@pytest.mark.parametrize("endpoint", scene.ENDPOINTS)
def test_A17_a_foreign_a_missing_and_a_malformed_deployment_look_the_same(
    gateway: GatewayProcess, upstream: ScriptedUpstream, endpoint: str
) -> None:
    heads = set()
    for name in (
        "foreign",
        "missing",
        "x" * 300,
        "-",
        "a%2Fb",
        "demo%00",
        "DEMO",
        "demo.",
        "%F0%9F%98%80",
        "foreign%20",
    ):
        asked = request(
            f"/api/gguf/{name}{endpoint}", "x-request-id: same", method=scene.ENDPOINTS[endpoint], key=scene.KEY
        )
        response = gateway.ask(asked)
        assert contract.NO_DEPLOYMENT.is_kept_by(response), name
        heads.add(tuple(header for header in response.headers if header[0] != "Date"))
    assert len(heads) == 1
    assert upstream.requests == []


def test_A18_no_answer_names_a_foreign_deployment(gateway: GatewayProcess) -> None:
    for target in ("/api/gguf", "/api/gguf/", "/api/gguf/foreig/v1/models", f"{scene.FOREIGN}/v1", "/v1/models"):
        with gateway.connect() as client:
            client.ask(ask_models(target=target, key=scene.KEY))
            assert b"foreign" not in client.received, target


def test_A19_refusals_of_one_kind_take_the_same_time(gateway: GatewayProcess) -> None:
    """There is no order that a listener could use. Noise makes one at times, so the best of some tries counts."""
    foreign, missing = f"{scene.FOREIGN}/v1/models", "/api/gguf/missing/v1/models"
    pairs = (
        (ask_models(target=foreign, key=scene.KEY), ask_models(target=missing, key=scene.KEY)),
        (ask_models(key=scene.EXPIRED_KEY), ask_models(key=scene.EXPIRED_KEY[:-1] + "X")),
    )
    for pair in pairs:
        assert any(_take_as_long(gateway, *pair) for _ in range(8))


def _take_as_long(gateway: GatewayProcess, one: bytes, other: bytes, samples: int = 200) -> bool:
    took: tuple[list[float], list[float]] = ([], [])
    with gateway.connect() as client:
        for asked, times in ((one, took[0]), (other, took[1]), (other, took[1]), (one, took[0])) * (samples // 2):
            begun = time.perf_counter()
            client.ask(asked)
            times.append(time.perf_counter() - begun)
    ranked = sorted([(t, 0) for t in took[0]] + [(t, 1) for t in took[1]])
    ranks = sum(rank for rank, (_, which) in enumerate(ranked, 1) if which)
    curve = (ranks - samples * (samples + 1) / 2) / samples**2
    return 0.4 < curve < 0.6


def test_A20_brute_force_hurts_nobody_else(gateway: GatewayProcess) -> None:
    stop = threading.Event()
    tried = []

    def guess() -> None:
        with gateway.connect() as client:
            while not stop.is_set():
                assert client.ask(ask_models(key=f"gw_CANARYKEY{os.urandom(12).hex()}")).status == 401
                tried.append(1)

    before, line = gateway.memory(), gateway.mark_log()
    guessers = [threading.Thread(target=guess) for _ in range(4)]
    for guesser in guessers:
        guesser.start()
    with gateway.connect() as client:
        for _ in range(100):
            assert client.ask(ask_models(key=scene.KEY)).status == 200
    meanwhile = len(tried)
    stop.set()
    for guesser in guessers:
        guesser.join()
    assert 0 < meanwhile < 10 * 4 * 100, "each of the four guesses has had ten turns for one of the good client"
    assert gateway.memory() - before < 8 << 20
    assert max(len(text) for text in gateway.log.lines[line:]) < 1024


def test_A21_without_any_key_everything_is_401(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(f"server: {{port: 0}}\naccounts: {{acme: {{keys: []}}}}\n{_DEMO.format(upstream.url)}")
    assert "No key is configured" in gateway.log.since(0)
    for headers in ((), ("x-api-key: ",), ("Authorization: Bearer null",), ("key: acme",)):
        assert is_refused(gateway, upstream, *headers)


def test_A21_the_digest_of_nothing_is_no_key(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    """What `printf "$KEY" | sha256sum` makes of a variable that is not set."""
    key = f"{{name: oops, key_sha256: {hashlib.sha256(b'').hexdigest()}}}"
    text = f"server: {{port: 0}}\naccounts: {{acme: {{keys: [{key}]}}}}\n{_DEMO.format(upstream.url)}"
    gateway = start_gateway(text, serves=False)
    if gateway.settles():
        for headers in ((), ("x-api-key: ",), ("Authorization: Bearer ",), ("Authorization: x",)):
            assert is_refused(gateway, upstream, *headers)


def test_A21_an_empty_key_in_the_file_is_refused_at_start(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    empty = ('""', "null", "", "[]", "{}", "false", '" "', "a")
    keys = ", ".join(f"{{name: a, key: {key}}}" for key in empty)
    text = f"server: {{port: 0}}\naccounts: {{acme: {{keys: [{keys}]}}}}\n{_DEMO.format(upstream.url)}"
    gateway = start_gateway(text, serves=False)
    assert gateway.wait() == 1
    for number in range(len(empty)):
        assert f"accounts.acme.keys[{number}]" in gateway.log.since(0), empty[number]


_DEMO = 'deployments: {{demo: {{account: acme, upstream: "{}", status: ready}}}}\n'
