"""Table G: secrets and prompts in what comes out. After every other case the invariants look for them as well."""

import json
import re
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.account import new_key_text
from tests.harness import scene
from tests.harness.processes.commands import CommandProcess
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Response, request

ROOT = Path(__file__).parents[3]


def everything(gateway: GatewayProcess) -> None:
    """A bit of all that can go right and wrong, with secrets wherever a client can put them."""
    good = request(scene.CHAT, key=scene.KEY, body=scene.BODY)
    odd = (
        *(good, request(scene.CHAT, key=scene.KEY), request(scene.CHAT, body=scene.BODY), b"CANARYKEY\r\n\r\n"),
        *(request(f"/{scene.KEY}", method="GET"), request(f"{scene.MODELS}?key={scene.KEY}", method="GET")),
        *(request(scene.MODELS, f"Cookie: a={scene.COOKIE}", method="GET", key=scene.KEY), request(scene.MODELS)),
        *(request(scene.CHAT, f"x-api-key: {scene.KEY}\x01", body=scene.BODY), request(scene.CHAT, "X: \xff", key="é")),
        *(request(f"/api/gguf/{key}/v1/models", method="GET", key=scene.KEY) for key in (scene.KEY, scene.EXPIRED_KEY)),
        *(request(f"{scene.BASE}/{scene.KEY}", key=scene.KEY), request(scene.CHAT, "Content-Length: x", key=scene.KEY)),
        *(request("/", f"Host: {scene.KEY}", host=None), request("/", f"User-Agent: {scene.KEY}\x7f", method="GET")),
        *(request(scene.CHAT, f"X-Request-ID: {scene.KEY}", "Expect: x"), good[: len(good) // 2]),
        *(request(f"http://{scene.KEY}@x{scene.MODELS}", method="GET"), request(scene.CHAT, method=scene.KEY)),
    )
    for data in odd:
        with gateway.connect() as client:
            client.send(data)
            client.half_close()
            client.read_to_end()


def without_echo(gateway: GatewayProcess) -> None:
    """Forget the one answer in which a client's own words are repeated to it: its request id."""
    for client in gateway.clients:
        client.received = bytearray(re.sub(rb"(?i)x-request-id: \S+", b"", bytes(client.received)))


@pytest.mark.parametrize("form", ["json", "human"])
def test_G1_no_secret_at_any_level_of_the_log(
    start_gateway: StartGateway, upstream: ScriptedUpstream, form: str
) -> None:
    environ = {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}
    gateway = start_gateway(scene.config(upstream.url, f"log: {{level: debug, format: {form}}}"), environ=environ)
    everything(gateway)
    without_echo(gateway)


BREAKAGES = {
    "closes": lambda visit: visit.close(),
    "resets": lambda visit: visit.reset(),
    "garbage": lambda visit: visit.send(b"CANARYUP garbage\r\n\r\n"),
    "redirects": lambda visit: visit.answer(b"", "302 Found", b"Location: http://CANARYUP@127.0.0.1/"),
    "refuses the key": lambda visit: visit.answer(b'{"error":"CANARYUPSTREAM-secret is wrong"}', "401 Unauthorized"),
    "is loading": lambda visit: visit.answer(b'{"error":{"message":"Loading model"}}', "503 Service Unavailable"),
    "bad header": lambda visit: visit.send(b"HTTP/1.1 200 OK\r\nX: CANARYUP\0\r\n\r\n"),
}


@pytest.mark.parametrize("script", BREAKAGES.values(), ids=BREAKAGES)
def test_G2_a_broken_upstream_tells_no_secret(
    gateway: GatewayProcess, upstream: ScriptedUpstream, script: object
) -> None:
    assert callable(script)

    def play(visit: Visit) -> None:
        visit.read_body()
        script(visit)

    with upstream.playing(play):
        response = gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY))
    assert response.status == 502
    assert b"127.0.0.1" not in response.body


@pytest.mark.parametrize("upstream_url", ["http://user:CANARYUP@127.0.0.1:1", "http://127.0.0.1:1/?key=CANARYUP"])
def test_G2_a_password_in_an_upstreams_url_is_refused_and_not_repeated(
    start_gateway: StartGateway, upstream_url: str
) -> None:
    gateway = start_gateway(scene.config(upstream_url), serves=False)
    assert gateway.wait() == 1
    assert "deployments.demo.upstream" in gateway.log.since(0)
    assert "CANARYUP" not in gateway.log.since(0)


FOR_THE_OPERATOR = {"/", "/metrics"}  # on loopback only


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/version", "/", "/config", "/debug", "/api/gguf"])
def test_G3_public_answers_name_no_secret_and_strangers_learn_no_name(
    gateway: GatewayProcess, upstream: ScriptedUpstream, path: str
) -> None:
    response: Response = gateway.ask(request(path, method="GET", host=f"127.0.0.1:{gateway.port}"))
    for secret in ("CANARY", *([] if path in FOR_THE_OPERATOR else ["127.0.0.1", "demo", "acme"])):
        assert secret.encode() not in response.body, secret


def test_G4_no_secret_in_the_arguments(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    text = scene.config(upstream.url).replace(scene.UPSTREAM_KEY, "${UP}")
    gateway = start_gateway(text, environ={"UP": scene.UPSTREAM_KEY})
    assert gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY)).status == 200
    assert upstream.only_request.values("Authorization") == [f"Bearer {scene.UPSTREAM_KEY}"]
    assert b"CANARY" not in gateway.command_line()


def test_G4_a_start_that_fails_prints_no_environment(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    text = scene.config(upstream.url).replace(scene.UPSTREAM_KEY, "${NOT_SET}")
    gateway = start_gateway(text, environ={"LLAMA_API_KEY": scene.UPSTREAM_KEY}, serves=False)
    assert gateway.wait() == 1
    assert "NOT_SET" in gateway.log.since(0)
    assert "CANARY" not in gateway.log.since(0)


FORGERIES = (
    "\\r\\n",
    "%0d%0a",
    "\x1b[31m",
    "%1b[31m",
    "\x85",
    "%e2%80%a8",
    "x" * 7000,
    "%20" * 2000,
    "{{7*7}}",
    "%s%n",
)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda text: repr(text[:12]))
def test_G5_one_event_is_one_line_of_at_most_4_kib(
    gateway: GatewayProcess, upstream: ScriptedUpstream, forgery: str
) -> None:
    start = gateway.mark_log()
    for data in (
        request(f"/{forgery}", method="GET"),
        request(f"/api/gguf/{forgery}/v1/models", method="GET", key=scene.KEY),
        request(scene.MODELS, f"User-Agent: {forgery}", f"Referer: {forgery}", method="GET", key=scene.KEY),
        request(scene.CHAT, key=scene.KEY, body=json.dumps({"model": forgery}).encode()),
        request(scene.MODELS, method=forgery[:100]),
        request(scene.MODELS, f"x-request-id: {forgery}", method="GET"),
    ):
        gateway.ask(data)
    written = gateway.log.lines[start : gateway.mark_log()]
    assert len(written) <= 7 + 2  # and perhaps a probe's, or a word at debug level
    for text in written:
        assert len(text.encode()) <= 4096
        assert isinstance(json.loads(text), dict)
        assert "\x1b" not in text


def test_G5_bad_cookies_are_not_worth_a_line(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    start = gateway.mark_log()
    cookies = [f"Cookie: bad\x80=;;={number};=,[]" for number in range(100)]
    assert gateway.ask(request(scene.MODELS, *cookies, method="GET", key=scene.KEY)).status == 200
    assert not any("ookie" in text for text in gateway.log.lines[start : gateway.mark_log()])


def test_G6_no_prompt_and_no_answer_is_logged(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    def parrot(visit: Visit) -> None:
        visit.answer(visit.read_body() + b"CANARYPROMPT-answer", "400 Bad Request")

    line = gateway.mark_log()
    with upstream.playing(parrot):
        response = gateway.ask(request(scene.CHAT, "x-request-id: parrot", key=scene.KEY, body=scene.BODY))
    assert response.status == 400
    assert b"CANARYPROMPT-answer" in response.body
    gateway.log.wait_for("parrot", start=line)
    assert scene.PROMPT not in gateway.log.since(line)


@pytest.mark.slow
def test_G7_a_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    database = tmp_path / "gateway.db"
    account = ("--account", "acme", "--create-account")
    key = CommandProcess(database).reads("keys", "create", *account, "--name", "ci")["key"]
    files = list(tmp_path.iterdir())
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    assert not any(key.encode() in file.read_bytes() for file in files)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o644, True)])
def test_G7_a_configuration_with_keys_that_others_can_read_is_warned_of(
    start_gateway: StartGateway, tmp_path: Path, mode: int, warned: bool
) -> None:
    gateway = start_gateway(scene.config("http://127.0.0.1:1"), mode=mode)
    assert ("chmod 600" in gateway.log.since(0)) == warned


def _tracked() -> Iterator[Path]:
    listed = subprocess.run(("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split("\0"):
        if (ROOT / name).is_file():
            yield ROOT / name


def test_G8_no_real_key_is_in_the_repository() -> None:
    """A key of the gateway's own making is known by its checksum; a made-up one has none."""
    shaped = re.compile(
        rb"gw_([0-9A-Za-z]{40})([0-9A-Za-z]{6})(?![0-9A-Za-z])|sk-[A-Za-z0-9]{32,}|BEGIN [A-Z ]*PRIVATE KEY"
    )
    assert _is_real(new_key_text())
    for path in _tracked():
        for found in shaped.finditer(path.read_bytes()):
            assert not _is_real(found[0].decode()), path


def _is_real(text: str) -> bool:
    if not text.startswith("gw_"):
        return True
    number, digits = zlib.crc32(text[3:43].encode()), ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[rest] + digits
    return text[43:] == digits
