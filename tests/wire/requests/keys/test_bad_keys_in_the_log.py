"""What the operator learns of a 401, and its client does not: why it was, and from which address."""

import itertools
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests.harness import contract, scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import Response, request

_names = itertools.count()

NO_KEY, NOT_BEARER = "no key was presented", "the Authorization header holds no Bearer key"
DIFFER, UNKNOWN = "the headers present keys that differ", "the key is unknown"
CAUSES: dict[str, tuple[tuple[str, ...], str]] = {
    "none": ((), NO_KEY),
    "an empty one": (("x-api-key: ",), NO_KEY),
    "an empty Authorization": (("Authorization: ",), NO_KEY),
    "another scheme": (("Authorization: Basic Z3dfQ0FOQVJZS0VZOng=",), NOT_BEARER),
    "a bare key": ((f"Authorization: {scene.KEY}",), NOT_BEARER),
    "two that differ": ((f"Authorization: Bearer {scene.KEY}", "x-api-key: sk-ant-CANARYKEY"), DIFFER),
    "a good one and another scheme": ((f"x-api-key: {scene.KEY}", "Authorization: Basic dTpw"), DIFFER),
    "unknown": (("Authorization: Bearer gw_CANARYKEYnobody",), UNKNOWN),
    "expired": ((f"key: {scene.EXPIRED_KEY}",), "the key acme/expired has expired"),
}
ROUTES = (f"POST {scene.CHAT}", f"GET {scene.MODELS}", f"DELETE {scene.BASE}/v1/models", "GET /api/gguf/demo/slots")


def refused(gateway: GatewayProcess, method: str, target: str, *headers: str) -> tuple[Response, dict[str, Any]]:
    """The answer to a request with a bad key, and its line in the log."""
    name, start = f"knocked-{next(_names)}", len(gateway.log.lines)
    body = scene.BODY if method == "POST" else None
    response = gateway.ask(request(target, f"x-request-id: {name}", *headers, method=method, body=body))
    return response, line_of(gateway, name, start)


def line_of(gateway: GatewayProcess, name: str, start: int = 0) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(gateway.log.wait_for(f'"{name}"', start=start).string)
    return line


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("headers", "cause"), CAUSES.values(), ids=CAUSES)
def test_the_log_says_why_a_key_was_bad_and_who_came(
    gateway: GatewayProcess, upstream: ScriptedUpstream, headers: tuple[str, ...], cause: str, route: str
) -> None:
    response, line = refused(gateway, *route.split(), *headers, "X-Forwarded-For: 203.0.113.9")
    assert contract.BAD_KEY.is_kept_by(response)
    assert (line["reason"], line["cause"], line["client"]) == ("bad_key", cause, "127.0.0.1")
    assert (line["account"], line["key"], line["deployment"]) == (None, None, None)


def test_to_its_client_one_bad_key_is_as_bad_as_another(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    def without_name(response: Response) -> bytes:
        lines = response.head.split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith((b"x-request-id:", b"request-id:", b"date:"))]
        return b"\r\n".join(kept) + response.body

    answers = {without_name(refused(gateway, "POST", scene.CHAT, *headers)[0]) for headers, _ in CAUSES.values()}
    assert len(answers) == 1


def test_a_revoked_key_is_named_by_its_id(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway("server: {port: 0}\ndatabase: sqlite+aiosqlite:///gateway.db\n", serves=False)
    gateway.log.wait_for_end()  # there is no database yet
    path = str(gateway.config)
    made = json.loads(
        _run("keys", "create", "--config", path, "--account", "acme", "--create-account", "--name", "one", "--json")
    )
    _run("keys", "revoke", made["id"], "--config", path)
    later = json.loads(_run("keys", "create", "--config", path, "--account", "acme", "--name", "two", "--json"))
    with sqlite3.connect(Path(path).with_name("gateway.db")) as database:
        database.execute("UPDATE keys SET expires_at = '2020-01-01 00:00:00.000000' WHERE id = ?", [later["id"]])
    database.close()
    serving = start_gateway(gateway.config.read_text().replace("///", f"///{gateway.config.parent}/"))
    for key, cause in ((made, "was revoked"), (later, "has expired")):
        response, line = refused(serving, "GET", scene.MODELS, f"Authorization: Bearer {key['key']}")
        assert contract.BAD_KEY.is_kept_by(response)
        assert line["cause"] == f"the key {key['id']} {cause}"
        assert key["key"] not in json.dumps(line)


def _run(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_through_a_trusted_proxy_the_client_is_the_one_behind_it(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "trusted_proxies: [127.0.0.1, 10.0.0.0/8]"))
    chain = ("X-Forwarded-For: 192.0.2.1, 203.0.113.9", "X-Forwarded-For: 10.1.1.1")
    _, line = refused(gateway, "POST", scene.CHAT, *chain)
    assert line["client"] == "203.0.113.9"
    _, line = refused(gateway, "GET", "/somewhere", *chain)
    assert line["client"] == "203.0.113.9"


def test_who_has_a_good_key_is_named_by_it_and_by_no_address(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    start = len(gateway.log.lines)
    asked = request(scene.CHAT, "x-request-id: named", key=scene.KEY, body=scene.BODY)
    with upstream.playing(lambda visit: visit.answer(b"{}")):
        assert gateway.ask(asked).status == 200
    line = line_of(gateway, "named", start)
    assert line["key"] == "acme/main"
    assert "client" not in line


def test_who_sends_no_request_at_all_is_noted_too(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    start = len(gateway.log.lines)
    assert gateway.ask(b"\x16\x03\x01\x02\x00\x01\r\n\r\n").status == 400
    assert json.loads(gateway.log.wait_for('"unreadable"', start=start).string)["client"] == "127.0.0.1"


def test_who_leaves_in_the_middle_of_a_bad_request_is_noted_too(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    start = len(gateway.log.lines)
    whole = request(scene.CHAT, "x-request-id: left-early", key="gw_CANARYKEYnobody", body=scene.BODY)
    with gateway.connect() as client:
        client.send(whole[:-5])
    line = line_of(gateway, "left-early", start)
    assert (line["ending"], line["client"]) == ("client_left", "127.0.0.1")


def test_the_log_for_people_says_both_too(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(scene.config(upstream.url, "log: {format: human}"))
    gateway.ask(request(scene.CHAT, "x-request-id: for-people", body=scene.BODY))
    gateway.log.wait_for(r"401  POST .*  - \(127\.0\.0\.1\)  .*  refused: no key was presented  for-people$")
