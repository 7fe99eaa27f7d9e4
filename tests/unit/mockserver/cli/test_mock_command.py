"""The command, started as users start it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.harness.patience import AT_ONCE
from tests.harness.sockets.rawhttp import ask, connect, encode, read_head

pytestmark = pytest.mark.slow  # each test is a process: `make test-tools` runs them

COMMAND = (sys.executable, "-m", "mockserver")
STOPPED_BEFORE_AIOHTTP = """
import os
import sys
from importlib.abc import MetaPathFinder

class Pause(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "aiohttp":
            sys.meta_path.remove(self)
            print(os.environ.get("SSL_CERT_FILE"), "while importing aiohttp", flush=True)
            sys.stdin.readline()

sys.meta_path.insert(0, Pause())
from mockserver.cli.main import main
main()
"""


async def start(*options: str) -> tuple[asyncio.subprocess.Process, str, str]:
    """A mock process, its model URL and its control URL, both from the start-up log."""
    process = await asyncio.create_subprocess_exec(*COMMAND, *options, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    urls = {}
    async for line in process.stdout:
        if b"listening on" in line:
            what, _, url = line.decode().partition(" is listening on ")
            urls[what] = url.split()[0]
        if "main: server" in urls:
            break
    return process, urls["main: server"], urls["main: control"]


STREAM = encode("POST", "/completion", {}, b'{"prompt":"Once","stream":true,"ignore_eos":true}')
PLAIN = encode("POST", "/completion", {}, b'{"prompt":"Once","ignore_eos":true}')


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_at_once_and_cuts_its_streams_if_wanted(number: signal.Signals) -> None:
    process, url, _ = await start("--port", "0", "--tps", "10", "--leaving", "immediate")
    reader, writer = await connect(url)
    writer.write(STREAM)
    await read_head(reader)
    asked = time.monotonic()
    process.send_signal(number)
    rest = await reader.read()
    assert await process.wait() == 0
    assert time.monotonic() - asked < AT_ONCE
    assert not rest.endswith(b"0\r\n\r\n")
    writer.close()


async def test_a_signal_lets_a_stream_be_cut_behind_its_next_ping() -> None:
    """As llama-server b11434: no token comes any more, and none of the port is left but the open streams."""
    process, url, control = await start("--port", "0", "--tps", "10", "--sse-ping-interval", "1")
    (reader, writer), (_, idle) = await connect(url), await connect(url)
    writer.write(STREAM)
    await read_head(reader)
    await ask(control, "GET", "/__mock__/requests/wait?count=1&status=200")
    process.send_signal(signal.SIGTERM)
    rest = await reader.read()
    assert rest.endswith(b"\n\r\n3\r\n:\n\n\r\n")
    assert await process.wait() == 0
    for one in (writer, idle):
        one.close()


async def test_a_signal_waits_for_a_plain_answers_client_and_a_second_does_not() -> None:
    process, url, control = await start("--port", "0", "--tps", "10")
    _, writer = await connect(url)
    writer.write(PLAIN)
    await ask(control, "GET", "/__mock__/requests/wait?count=1")
    process.send_signal(signal.SIGTERM)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await process.wait()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 1
    writer.close()


@pytest.mark.usefixtures("heard_ctrl_c")
@pytest.mark.parametrize("module", ["click.core", "mockserver.core.options", "aiohttp"])
async def test_ctrl_c_while_it_starts_ends_it_without_a_word(module: str) -> None:
    """Python is made to say what it has imported, so that the moment is known."""
    environ = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--port", "0", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, env=environ
    )
    assert process.stderr is not None
    words = []
    async for line in process.stderr:
        if line.endswith(f" {module}\n".encode()):
            process.send_signal(signal.SIGINT)
        elif not line.startswith(b"import time:"):
            words.append(line)
    assert await process.wait() == -signal.SIGINT
    assert words == []


async def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "--port", port, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
    assert process.returncode == 1
    assert b"listening" not in out
    assert err.decode() == f"Error: Cannot listen on 127.0.0.1:{port}: Address already in use.\n"


async def test_a_paused_mock_is_woken_over_the_control_port() -> None:
    process, url, control_url = await start("--port", "0", "--state", "paused", "--alias", "demo")
    with pytest.raises(ConnectionRefusedError):
        await connect(url)
    assert (await ask(control_url, "PUT", "/__mock__/state", {"state": "ready"})).status == 200
    assert (await ask(url, "GET", "/v1/models")).json()["data"][0]["id"] == "demo"
    process.terminate()
    assert await process.wait() == 0


@asynccontextmanager
async def stopped_before_aiohttp(state: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A mock that waits for a line of its standard input to go on, and the URL that it is to serve."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = str(reserved.getsockname()[1])
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", STOPPED_BEFORE_AIOHTTP, "--port", port, "--state", state), stdin=pipe, stdout=pipe
        )
        assert process.stdout is not None
        await process.stdout.readuntil(b"importing aiohttp\n")
        yield process, f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("state", ["ready", "deploying", "hung"])
async def test_it_listens_before_it_imports_what_it_serves_with(state: str) -> None:
    async with stopped_before_aiohttp(state) as (process, url):
        assert process.stdin is not None
        assert process.stdout is not None
        reader, writer = await connect(url)
        writer.write(encode("GET", "/health"))
        process.stdin.write(b"go on\n")
        await process.stdout.readuntil(b"server is listening")
        if state != "hung":
            assert (await read_head(reader)).status == {"ready": 200, "deploying": 503}[state]
        writer.close()
        process.terminate()
        await process.wait()


async def test_a_port_that_is_closed_at_first_does_not_listen_while_it_starts() -> None:
    async with stopped_before_aiohttp("paused") as (process, url):
        with pytest.raises(ConnectionRefusedError):
            await connect(url)
        process.kill()
        await process.wait()


async def test_answers_are_given_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "answers.yaml").write_text("- It is sunny.\n")
    process, url, _ = await start("--port", "0", "--answers", str(tmp_path / "answers.yaml"))
    answer = (await ask(url, "POST", "/completion", {"prompt": "hi"})).json()
    assert answer["content"] == "It is sunny."
    process.terminate()
    assert await process.wait() == 0


async def test_a_missing_file_of_answers_is_one_sentence() -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, "--port", "0", "--answers", "no.yaml", stderr=pipe)
    _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (1, "Error: no.yaml: No such file or directory.\n")


@pytest.mark.parametrize(
    ("options", "authorities"),
    [((), b"/dev/null while"), (("--ui-mcp-proxy",), b"authorities.pem while")],
    ids=["no client", "a client of its own"],
)
async def test_certificate_authorities_are_read_only_for_the_proxy(
    options: tuple[str, ...], authorities: bytes
) -> None:
    command = (sys.executable, "-c", STOPPED_BEFORE_AIOHTTP, "--port", "0", *options)
    environment = {**os.environ, "SSL_CERT_FILE": "authorities.pem"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment)
    assert process.stdout is not None
    assert authorities in await process.stdout.readuntil(b"importing aiohttp\n")
    process.kill()
    await process.wait()


def test_a_detached_mock_listens_when_the_command_returns_and_goes_on() -> None:
    """`run` waits for the end of its output, too, as a CI runner does."""
    run = subprocess.run([*COMMAND, "--port", "0", "--detach"], capture_output=True, text=True, check=True)
    url = run.stdout.partition("server is listening on ")[2].split()[0]
    process = int(run.stdout.partition("kill ")[2].split()[0])
    try:
        with urlopen(f"{url}/health") as answer:
            assert answer.status == 200
    finally:
        os.kill(process, signal.SIGTERM)


def test_a_detached_mock_that_cannot_listen_says_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = subprocess.run([*COMMAND, "--port", port, "--detach"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"Error: Cannot listen on 127.0.0.1:{port}: Address already in use." in run.stdout.splitlines()
