"""A real llama-server and a mock, started alike in the modes in which they are compared. Both end with the `with`."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.cli.sandbox.real_server import RealServer
from scripts.drifting.exchange import Request, ask

COMMON = ("-c", "2048", "-np", "2", "--alias", "local", "--chat-template", "chatml", "--temp", "0", "--seed", "42")
MODES = {
    "ready": ("--slots", "--metrics"),
    "embedding": ("--embeddings", "--pooling", "mean"),
    "reranking": ("--reranking",),
    "api_key": ("--api-key", "secret"),
}
BRIEF = ("-n", "32")
"""No answer is longer, also where a request with something wrong in it has no limit of its own."""
_UP_SECONDS = 120.0
_END_SECONDS = 5.0
_HEALTH = Request("health", "GET", "/health")
_OWN_SETTINGS = "LLAMA_ARG_"


class ServerError(Exception):
    """A server does not start. The message is one sentence for a terminal."""


def real_command(real: RealServer, options: Sequence[str]) -> list[str]:
    """One thread: a second one on the core that the mock needs would be slower, not faster."""
    return [str(real.binary), "-m", str(real.model), "-t", "1", "--offline", *COMMON, *options]


def mock_command(options: Sequence[str]) -> list[str]:
    """The mock of this environment, as fast as it can be."""
    mock = str(Path(sys.executable).with_name("mock-llama-server"))
    return [mock, "-m", "SmolLM2-135M-Instruct.Q4_1.gguf", *COMMON, *options]


@contextmanager
def serving(command: Sequence[str], log: Path, *, loaded: bool = True) -> Iterator[str]:
    """The URL of a server that is healthy, or, without `loaded`, that listens. Raises ServerError."""
    port = _free_port()
    with (
        log.open("wb") as said,
        subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if not name.startswith(_OWN_SETTINGS)},
        ) as process,
    ):
        try:
            _wait(command[0], process, port, log, loaded)
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(process)


def _wait(command: str, process: "subprocess.Popen[bytes]", port: int, log: Path, loaded: bool) -> None:
    deadline = time.monotonic() + _UP_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if ask(f"http://127.0.0.1:{port}", _HEALTH).status == 200 or not loaded:
                return
        except ConnectionRefusedError:
            pass
        time.sleep(0.005 if not loaded else 0.1)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
    raise ServerError(f"{Path(command).name} does not start. The last it said: {said[-1]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """All of its session, whatever it is doing."""
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
