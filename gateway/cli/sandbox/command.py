"""`gguf-gateway sandbox`: the cloud's behaviour on a laptop, with no model and no GPU."""

import logging
import sys
from pathlib import Path

import click
from rich.console import Console

from gateway.cli.output import console_for
from gateway.cli.sandbox.processes import Definition, SandboxError, read_definition, serve_sandbox
from gateway.server.process.listen_address import ListenError
from gateway.server.process.run import run
from gateway.telemetry import logs

_PROMPT = """{"stream": true, "messages": [{"role": "user", "content": "Tell me a story."}]}"""


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port of the gateway.")
def sandbox(port: int) -> None:
    """Serve a gateway with mock llama-servers behind it: ready, deploying, paused and restarting."""
    logs.set_up("human", "info", sys.stdout)
    logging.getLogger("gateway.readiness").setLevel(logging.ERROR)  # the restarting mock would fill the screen
    definition = read_definition()
    console = console_for(sys.stdout)
    console.soft_wrap = True

    def announce(url: str, path: Path) -> None:
        waiting.stop()
        _introduce(console, definition, url, path)

    waiting = console.status(f"Starting {len(definition.deployments)} mock llama-servers ...")
    waiting.start()
    try:
        run(serve_sandbox(definition, port, announce))
    except ListenError as error:
        raise click.ClickException(f"{error} With make, that is: make run PORT=8081") from error
    except SandboxError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    finally:
        waiting.stop()


def _introduce(console: Console, definition: Definition, url: str, path: Path) -> None:
    width = max(map(len, definition.deployments))
    first = next(iter(definition.deployments))
    console.print(f"\n[bold]The sandbox is up.[/] Watch it at [link={url}]{url}/[/]\n")
    console.print("key  ", f"[bold]{definition.key}[/]\n")
    for name, played in definition.deployments.items():
        console.print(f"{name:<{width}}  {url}/api/gguf/{name:<{width}}  {played.about}", markup=False)
    console.print("\n[bold]Stream an answer[/], from another terminal:\n")
    console.print(f"  curl -N {url}/api/gguf/{first}/v1/chat/completions \\", markup=False)
    console.print(f"    -H 'Authorization: Bearer {definition.key}' \\", markup=False)
    console.print("    -H 'Content-Type: application/json' \\")
    console.print(f"    -d '{_PROMPT}'", markup=False)
    console.print(f"\nConfiguration: {path} (edit it while it serves). Ctrl-C stops everything.\n", markup=False)
