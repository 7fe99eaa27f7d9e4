"""`gguf-gateway contract`: our gateway keeps its contract, and one that does not is told where."""

import asyncio
import json
import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from gateway.cli import main
from gateway.core import errors
from mockserver import MockLlamaServer
from mockserver.sandbox import Sandbox
from tests.harness.processes.fork_server import fork_server
from tests.harness.sockets.stage import closed_port

KEY = "gw_key_of_another_gateway"


@pytest.mark.slow
def test_our_gateway_keeps_every_row() -> None:
    mocks = {name: MockLlamaServer() for name in ("demo", "paused", "away")}
    with Sandbox(mocks | {"late": MockLlamaServer(state="deploying", load_seconds=None)}) as sandbox:
        sandbox["paused"].pause()
        sandbox["away"].crash()
        states = ("--paused", sandbox["paused"].base_url, "--deploying", sandbox["late"].base_url)
        words = ["contract", "--check", sandbox["demo"].openai_base_url, "--restarting", sandbox["away"].base_url]
        run = CliRunner().invoke(main, [*words, *states], input=f"{sandbox.key}\n")
    assert run.exit_code == 0, run.output
    *rows, summary = run.output.splitlines()
    assert summary == "33 of 33 rows hold."
    assert [row.split()[0] for row in rows[-3:]] == ["503", "503", "502"]
    assert sandbox.key not in run.output


async def _other_gateway(request: web.Request) -> web.StreamResponse:
    """Somebody's own: nearly right."""
    tail = request.path.removeprefix("/api/gguf/demo")
    if "hello" in tail or not tail:
        return web.Response(status=204)
    if request.headers.get("x-api-key", request.headers.get("Authorization", "").removeprefix("Bearer ")) != KEY:
        return _refuse(401, {"message": "Invalid API key.", "type": "authentication_error"})  # the order
    if tail == request.path:
        return _refuse(404, {"type": "not_found_error", "message": f"No deployment found for {tail}."})  # the id
    if tail == "/paused/v1/models":
        return _refuse(503, {"type": "overloaded_error", "message": errors.PAUSED.message.format(detail="paused")})
    if b'"stream": true' in await request.read():
        return web.Response(text='data: {"choices": []}\n\n', content_type="text/event-stream")  # and no [DONE]
    return web.json_response({}, headers={"x-request-id": request.headers.get("x-request-id", "new")})


def _refuse(status: int, error: dict[str, str]) -> web.Response:
    return web.json_response({"error": error}, status=status, headers={"x-request-id": "new"})


async def test_a_gateway_that_is_nearly_right_is_told_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _other_gateway)
    async with TestServer(app) as server:
        url = str(server.make_url("/api/gguf/demo"))
        monkeypatch.setenv("THE_KEY", KEY)
        words = ["contract", "--check", url, "--key-env", "THE_KEY", "--paused", f"{url}/paused", "--json"]
        run = await asyncio.to_thread(fork_server().run, tuple(words))
    assert (run.returncode, run.stderr) == (1, "")
    report = json.loads(run.stdout)
    assert report["holds"] is False
    found = {row["row"]: row["found"] for row in report["rows"]}
    assert "a key in key" in found
    assert found["a key in key"].startswith("401")
    assert not found["a key in x-api-key"]
    assert not found["204 hello, with no key"]
    assert found["401 no key"].startswith('the body is {"error": {"message"')
    assert found["401 a good key, and an empty one"].startswith("200")
    assert "No deployment found for /api" in found["404 an unknown deployment"]
    assert "and 404" in found["404 the same bytes whatever the id"]
    assert found["405 DELETE where only GET is served"].startswith("200")
    assert found["a stream ends in [DONE]"] == "it ends in 'data: {\"choices\": []}'"
    assert found["503 paused"] == "Retry-After is missing, not 30"
    assert found["x-request-id comes back"] == "it is new"
    assert found["request-id says the same as x-request-id"] == "it is missing on a 200"
    assert KEY not in run.stdout


def test_a_gateway_that_is_not_there_is_one_sentence() -> None:
    with closed_port() as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        run = CliRunner().invoke(main, ["contract", "--check", f"http://{address}/api/gguf/demo"], input=f"{KEY}\n")
    assert run.exit_code == 1
    assert run.output == f"Error: No connection to {address}: Connection refused.\n"


@pytest.mark.slow
async def test_a_gateway_without_tls_is_one_sentence() -> None:
    async with TestServer(web.Application()) as server:
        address = server.make_url("").authority
        words = ["contract", "--check", f"https://{address}/api/gguf/demo"]
        run = await asyncio.to_thread(fork_server().run, tuple(words), stdin=f"{KEY}\n")
    assert run.returncode == 1
    expected = rf"Error: No connection to {address}: TLS failed \([^()]+\)\.\n"
    assert re.fullmatch(expected, run.stderr)


def test_a_key_that_is_refused_is_said_so_first(gguf_sandbox: Sandbox) -> None:
    words = ["contract", "--check", gguf_sandbox.deployment().base_url]
    run = CliRunner().invoke(main, words, input="gw_a_wrong_key\n")
    assert run.exit_code == 1
    assert run.stderr == "The gateway refuses this key (401), so most rows cannot hold.\n"
    assert run.output.startswith(run.stderr)
    assert run.stdout.splitlines()[-1] == "16 of 30 rows hold."


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--check", "ftp://here/api/gguf/demo"], "must be a deployment's base URL"),
        (["--check", "http://here/"], "must be a deployment's base URL"),
        (["--check", "http://here/a/b", "--key-env", "NOT_SET"], "NOT_SET is not set"),
        (["--check", "http://here/a/b", "--key-env", "ODD"], "Not a valid key"),
        (["--check", "http://here/a/b", "--key", "gw_in_an_argument"], "No such option"),
    ],
)
def test_what_cannot_be_checked_is_said_in_one_line(words: list[str], complaint: str) -> None:
    run = CliRunner().invoke(main, ["contract", *words], env={"ODD": "a\nb"})
    assert run.exit_code == 2
    assert complaint in run.output
    assert KEY not in run.output


def test_without_a_gateway_the_contract_is_printed() -> None:
    run = CliRunner().invoke(main, ["contract"])
    assert "Endpoint is not ready (status: paused)." in run.output
    rows = json.loads(CliRunner().invoke(main, ["contract", "--json"]).output)
    assert [row["status"] for row in rows[:5]] == [row.status for row in errors.CONTRACT]
