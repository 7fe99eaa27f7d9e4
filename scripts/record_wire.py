"""`python -m scripts.record_wire`: what the real llama-server answers to the requests in `tests/recordings/`, anew.

The files hold the requests; those are asked again, in their order, of a server with each file's options, and the
answers are written over the old ones. `tests/recordings/README.md` says more.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from gateway.cli.sandbox.mock_process import SandboxError
from gateway.cli.sandbox.real_server import VERSION, find_real_server
from scripts.drifting.exchange import Answer, Request, ask
from scripts.drifting.servers import MODES, ServerError, real_command, serving

RECORDINGS = Path(__file__).parents[1] / "tests" / "recordings"
OPTIONS = {**MODES, "endpoints_off": ("--no-slots",), "loading": ("--slots", "--metrics")}
_PLACE = "/models/"
"""Where the model lies in every recording, wherever it lay."""


@click.command()
@click.option("--version", default=VERSION, show_default=True, help="The build that `make real` made.")
@click.argument("names", nargs=-1, type=click.Choice(list(OPTIONS)))
def main(version: str, names: tuple[str, ...]) -> None:
    """Record all files, or those that are named."""
    try:
        real = find_real_server(version)
        for name in names or OPTIONS:
            path = RECORDINGS / f"{name}.json"
            exchanges = json.loads(path.read_text())
            with tempfile.TemporaryDirectory() as scratch:
                command = real_command(real, OPTIONS[name])
                with serving(command, Path(scratch) / "server.log", loaded=name != "loading") as url:
                    answers = [ask(url, request_of(exchange)) for exchange in exchanges]
            for exchange, answer in zip(exchanges, answers, strict=True):
                exchange["response"] = _written(answer, str(real.model.parent))
            path.write_text(json.dumps(exchanges, indent=1, ensure_ascii=False) + "\n")
            print(f"{path.name}: {len(exchanges)} exchanges", flush=True)
    except (SandboxError, ServerError) as error:
        sys.exit(f"record_wire: {error}")


def request_of(exchange: dict[str, Any]) -> Request:
    """The request of a recorded exchange."""
    request = exchange["request"]
    headers = dict(request.get("headers", {}))
    body = request["body"].encode() if "body" in request else None
    if "json" in request:
        body = json.dumps(request["json"]).encode()
        headers = {"Content-Type": "application/json", **headers}
    return Request(exchange["name"], request["method"], request["path"], tuple(headers.items()), body)


def _written(answer: Answer, folder: str) -> dict[str, Any]:
    return {
        "status": answer.status,
        "status_line": answer.status_line,
        "headers": [list(pair) for pair in answer.headers],
        "chunks": [chunk.decode().replace(f"{folder}/", _PLACE) for chunk in answer.chunks],
    }


if __name__ == "__main__":
    main()
