"""`gguf-gateway sandbox` as a program of any language starts and drives it: a line of JSON, and HTTP requests."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.harness.patience import PATIENCE

COMMAND = (str(Path(sys.executable).with_name("gguf-gateway")), "sandbox")
CHAT = b'{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}'
Answer = tuple[int, Any]


class SandboxCommand:
    """A sandbox that serves. `said` is the line of JSON that it printed."""

    def __init__(self, process: "subprocess.Popen[str]", said: dict[str, Any]) -> None:
        self.process, self.said = process, said
        self.key: str = said["key"]

    def control(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A request to the control URL, below a deployment's `/__mock__/`."""
        deployment, _, rest = path.partition("/")
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else None
        return send(f"{self.said['control_url']}/{deployment}/__mock__/{rest}", method, data, headers)

    def set_state(self, deployment: str, state: str, **durations: float) -> Answer:
        return self.control("PUT", f"{deployment}/state", {"state": state, **durations})

    def ask(self, deployment: str) -> Answer:
        """A chat completion through the gateway."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return send(f"{self.base_url(deployment)}/v1/chat/completions", "POST", CHAT, headers)

    def base_url(self, deployment: str) -> str:
        url: str = self.said["deployments"][deployment]["base_url"]
        return url


def send(url: str, method: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    """Status and JSON of a request; None where there is no body."""
    try:
        with urlopen(Request(url, body, headers, method=method), timeout=PATIENCE) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@contextmanager
def sandbox_command(*options: str) -> Iterator[SandboxCommand]:
    """Start it on free ports, and end it by the end of its standard input."""
    command = [*COMMAND, "--port", "0", "--json", "--stop-with-stdin", *options]
    with (
        TemporaryFile("w+") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, _all_of(log)
        yield SandboxCommand(process, json.loads(line))
        process.communicate(timeout=PATIENCE)


def _all_of(log: IO[str]) -> str:
    log.seek(0)
    return log.read()
