"""`gguf-gateway sandbox`: the cloud's behaviour on a laptop, with no model and no GPU."""

import json
import logging
import sys
from pathlib import Path

import click
from rich.console import Console

from gateway.cli.arguments import FILE
from gateway.cli.output import console_for, say
from gateway.cli.sandbox.definition import DEFINITION, Definition, read_definition
from gateway.cli.sandbox.mock_process import SandboxError
from gateway.cli.sandbox.processes import SandboxOptions, ServedSandbox, serve_sandbox
from gateway.cli.sandbox.real_server import find_real_server
from gateway.server.process.event_loop import run
from gateway.server.process.listen_address import ListenError
from gateway.telemetry import logs

_PROMPT = """{"stream": true, "messages": [{"role": "user", "content": "Tell me a story."}]}"""
_PORT = click.IntRange(0, 65535)
_STDIN = 0


@click.command()
@click.option("--config", "path", type=FILE, default=DEFINITION, help="What to serve, instead of the four demos.")
@click.option("--port", type=_PORT, help="Port of the gateway (8080); 0: any free one.")
@click.option("--control-port", type=_PORT, default=0, help="Port of the control URL; any free one by default.")
@click.option("--real", "with_real", is_flag=True, help="Add demo-real: a real model, once `make real` has built it.")
@click.option("--traffic", "with_traffic", is_flag=True, help="Let a small team work on it, for something to look at.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when it is up; log on standard error.")
@click.option("--stop-with-stdin", is_flag=True, help="Stop, too, when standard input (a pipe) is closed.")
def sandbox(
    path: Path,
    port: int | None,
    control_port: int,
    *,
    with_real: bool,
    with_traffic: bool,
    as_json: bool,
    stop_with_stdin: bool,
) -> None:
    """Serve a gateway with mock llama-servers behind it: ready, deploying, paused and restarting."""
    said_to = sys.stderr if as_json else sys.stdout
    logs.set_up("human", "info", said_to)
    logging.getLogger("gateway.readiness").setLevel(logging.ERROR)  # the restarting mock would fill the screen
    logging.getLogger("gateway.registry.schema").setLevel(logging.WARNING)  # its database is made for this run alone
    definition = _definition(path, with_real)
    console = console_for(said_to)
    console.soft_wrap = True

    def announce(served: ServedSandbox) -> None:
        waiting.stop()
        if as_json:
            say(json.dumps(served.as_json()))
            sys.stdout.flush()
        else:
            _introduce(console, served, with_traffic=with_traffic)

    beside = " and a real one" if definition.real else ""
    waiting = console.status(f"Starting {len(definition.mocks)} mock llama-servers{beside} ...")
    waiting.start()
    stop_pipe = _STDIN if stop_with_stdin else None
    try:
        options = SandboxOptions(definition, definition.port if port is None else port, control_port, with_traffic)
        run(serve_sandbox(options, announce, stop_pipe))
    except ListenError as error:
        hint = "" if "--control-port" in str(error) else " With make, that is: make run PORT=8081"
        raise click.ClickException(f"{error}{hint}") from error
    except SandboxError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    finally:
        waiting.stop()


def _definition(path: Path, with_real: bool) -> Definition:
    definition = read_definition(path)
    try:
        return definition.with_real(find_real_server()) if with_real else definition
    except SandboxError as error:
        raise click.ClickException(str(error)) from error


def _introduce(console: Console, served: ServedSandbox, *, with_traffic: bool) -> None:
    definition, url = served.definition, served.url
    width = max(map(len, definition.about), default=0)
    console.print(f"\n[bold]The sandbox is up.[/] Watch it at [link={url}]{url}/[/]\n")
    console.print("sign in  ", f"[bold][link={served.sign_in_url}]{served.sign_in_url}[/link][/]")
    console.print("key      ", f"[bold]{definition.key or 'as its digest in the configuration'}[/]")
    console.print("control  ", f"[bold]{served.control_url}[/]\n")
    for name, about in definition.about.items():
        console.print(f"{name:<{width}}  {url}/api/gguf/{name:<{width}}  {about}", markup=False)
    first = next(iter(definition.about), None)
    if first is None:
        return
    console.print("\n[bold]Stream an answer[/], from another terminal:\n")
    console.print(f"  curl -N {served.base_url(first)}/v1/chat/completions \\", markup=False)
    console.print(f"    -H 'Authorization: Bearer {definition.key or '...'}' \\", markup=False)
    console.print("    -H 'Content-Type: application/json' \\")
    console.print(f"    -d '{_PROMPT}'", markup=False)
    if first in definition.mocks:
        console.print("\n[bold]Let something happen[/] to it: paused, ready, restarting, crashed, hung, deploying.\n")
        console.print(f"  curl -X PUT {served.control_url}/{first}/__mock__/state \\", markup=False)
        console.print('    -d \'{"state": "paused"}\'', markup=False)
    if with_traffic:
        console.print(
            f"\n[bold]A small team is at work[/] (--traffic): see {served.url}/usage and {served.url}/activity"
        )
    console.print(f"\nConfiguration: {served.path} (edit it while it serves). Ctrl-C stops everything.\n", markup=False)
