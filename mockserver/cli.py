"""`mock-llama-server`: the command line, llama-server's options beside the mock's own."""

import asyncio
import os
import signal
import sys
from threading import Thread
from typing import Any

import click

from mockserver.door import PortTaken
from mockserver.server import MockLlamaServer
from mockserver.settings import Settings
from mockserver.state import Phase, State

_SECONDS = click.FloatRange(min=0)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": None})
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8080, show_default=True, help="Model port; 0 takes any free one.")
@click.option("--control-port", type=int, default=0, help="Port of the control API; 0 takes any free one.")
@click.option(
    "--state", type=click.Choice([state.value for state in State]), default="ready", help="The state to begin with."
)
@click.option("--load-seconds", type=_SECONDS, default=2.0, show_default=True, help="Time a load takes.")
@click.option("--down-seconds", type=_SECONDS, default=2.0, show_default=True, help="Time a restart is down.")
@click.option("--up-seconds", type=_SECONDS, help="Restart again and again, after this time of being ready.")
@click.option("--ttft", type=_SECONDS, default=0.0, help="Seconds from the prompt to the first token.")
@click.option("--tps", "tokens_per_second", type=_SECONDS, default=0.0, help="Tokens a second; 0: no delay.")
@click.option("--pp", "prompt_tokens_per_second", type=_SECONDS, default=0.0, help="Prompt tokens a second.")
@click.option("-s", "--seed", type=int, default=0, help="Seed of all answers.")
@click.option("-a", "--alias", default="", help="Name of the model in answers.")
@click.option("-m", "--model", default="", help="Path of a model; only its name is used.")
@click.option("--api-key", "api_keys", default="", envvar="LLAMA_API_KEY", help="Key or keys, by comma.")
@click.option("-np", "--parallel", "slots", type=int, default=-1, help="Slots; -1: four, sharing the context.")
@click.option("-c", "--ctx-size", "context", type=int, default=0, help="Context in tokens; 0: the model's.")
@click.option("-n", "--predict", "--n-predict", "n_predict", type=int, default=-1, help="Tokens to generate.")
@click.option("--temp", "--temperature", "temperature", type=float, default=0.8, help="Default temperature.")
@click.option("--chat-template", default="chatml", help="Name of the chat template.")
@click.option("--embedding", "--embeddings", "embeddings", is_flag=True, help="Allow embeddings.")
@click.option("--rerank", "--reranking", "reranking", is_flag=True, help="Allow reranking.")
@click.option("--pooling", default="mean", help="Pooling of embeddings.")
@click.option("--metrics", "metrics_endpoint", is_flag=True, help="Serve /metrics.")
@click.option("--slots/--no-slots", "slots_endpoint", default=True, help="Serve /slots.")
@click.option("--stop-with-stdin", is_flag=True, help="Stop when standard input closes, as it does when a parent dies.")
def main(*, stop_with_stdin: bool, **options: Any) -> None:
    """A llama-server without a model: its wire behaviour, and its life cycle to play with."""
    if stop_with_stdin:
        Thread(target=_stop_with_stdin, daemon=True).start()
    options["api_keys"] = tuple(filter(None, options["api_keys"].split(",")))
    options["unified"] = options["slots"] < 1
    options["slots"] = 4 if options["slots"] < 1 else options["slots"]
    options["context"] = options["context"] or 4096
    try:
        asyncio.run(_serve(Settings(**options)))
    except PortTaken as error:
        raise click.ClickException(str(error)) from error


async def _serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then cut the streams, as the real one does."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    mock = MockLlamaServer(settings)
    await mock.start()
    try:
        _say(f"main: control is listening on {mock.control_url}")
        waiting = {Phase.LOADING: " (loading model)", Phase.DOWN: " (closed for now)"}.get(mock.phase, "")
        _say(f"main: server is listening on {mock.url}{waiting}")
        await stopped.wait()
    finally:
        await mock.stop()


def _stop_with_stdin() -> None:
    while os.read(0, 1024):  # not sys.stdin: a thread that holds its lock would break the interpreter's exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
