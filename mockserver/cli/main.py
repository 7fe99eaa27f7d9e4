"""`mock-llama-server`: the command line, llama-server's options beside the mock's own."""

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import click

from mockserver.cli.llama_server_options import LlamaServerCommand, options_from
from mockserver.cli.llama_server_variables import variable_of
from mockserver.cli.standard_streams import say
from mockserver.core.listening.port import Port, PortTaken
from mockserver.core.options import BUILD_INFO, Options
from mockserver.core.state import CLOSED, State

_SECONDS = click.FloatRange(min=0)
_PORT = click.IntRange(0, 65535)


Command = Callable[..., None]


def _option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    """An option without a default of its own: what is not given is left to Options."""
    return click.option(*names, **({"default": None, "envvar": variable_of(names)} | attributes))


_asks = partial(click.version_option, BUILD_INFO)
"""What is answered, and serves nothing: programs that know llama-server ask it so before they start it."""


@click.command(cls=LlamaServerCommand, context_settings={"help_option_names": ["-h", "--help", "--usage"]})
@_asks("--version", message="version: %(version)s (mock)")
@_asks("--list-devices", message="Available devices:\n  (none)", help="Say that there is none, and exit.")
@_asks("-cl", "--cache-list", message="number of models in cache: 0", help="Say that it is empty, and exit.")
@_option("--host", help="Address to listen on, or several with commas.")
@_option("--port", type=_PORT, default=8080, show_default=True, help="0: any free one.")
@_option("--control-port", type=_PORT, help="Port of the control API; any free one by default.")
@_option("--control-names", help="Host names that the control port answers to, besides localhost; with commas.")
@_option("--state", type=click.Choice([state.value for state in State]), help="The state to begin with.")
@_option("--load-seconds", type=_SECONDS, envvar="MOCK_LLAMA_SERVER_LOAD_SECONDS", help="Time a load takes (2).")
@_option("--down-seconds", type=_SECONDS, help="Time a restart is down (2).")
@_option("--up-seconds", type=_SECONDS, help="Restart again and again, after being ready for this time.")
@_option("--scenario", type=click.Path(), help="Play the timeline of a YAML file.")
@_option("--clock", type=click.Choice(["real", "virtual"]), help="Let time pass by itself, or only when told to.")
@_option("--fault", "faults", multiple=True, help="Arm a fault, as `cut after_events=3 times=2`; may be repeated.")
@_option("--answers", multiple=True, type=click.Path(), help="Say what a YAML file of canned answers says.")
@_option("--else", "else_url", metavar="URL", help="Pass on to this server what no canned answer fits, and record it.")
@_option("--recordings", type=click.Path(), help="Folder of what --else recorded (FILE.recordings of --answers).")
@_option("--journal-entries", type=click.IntRange(min=1), help="Exchanges that are remembered (1000).")
@_option("--journal-bytes", type=click.IntRange(min=0), help="Bytes of bodies that are remembered (64 MiB).")
@_option("--journal-secrets", is_flag=True, help="Remember keys and cookies, which are masked otherwise.")
@_option("--ttft", type=_SECONDS, help="Seconds from the prompt to the first token.")
@_option("--tps", "tokens_per_second", type=_SECONDS, help="Tokens a second; 0: no delay.")
@_option("--pp", "prompt_tokens_per_second", type=_SECONDS, help="Prompt tokens a second; 0: no delay.")
@_option("--jitter", type=click.FloatRange(0, 1), help="Share by which a token's time differs, by the seed.")
@_option("--ttft-std-dev", type=_SECONDS, help="Standard deviation of --ttft, at most 30 % of it.")
@_option("--token-std-dev", type=_SECONDS, help="The same of the seconds that a token takes.")
@_option("--load-factor", type=click.FloatRange(min=1), help="How much longer a token takes when all slots work.")
@_option("--profile", help="As fast as a real one: a file, or the name of one in the package.")
@_option("--leaving", type=click.Choice(["polled", "immediate"]), help="When a client that left is noticed (polled).")
@_option("--endless", is_flag=True, help="Never end an answer before its limit.")
@_option("--no-grammars", "grammars", flag_value=False, help="A model that no grammar can be applied to.")
@_option(
    "--vocabulary",
    type=click.Choice(["chatml", "stories", "bert"]),
    help="Whose tokens (chatml: SmolLM2's).",
)
@_option("--infill", is_flag=True, help="A model that can fill in the middle.")
@_option("--wake-seconds", type=_SECONDS, help="Time it takes to wake from sleep.")
@_option("--strict", is_flag=True, envvar="MOCK_LLAMA_SERVER_STRICT", help="Be a router if no model is given.")
@_option("--router", is_flag=True, help="Be a router: load and unload models.")
@_option("--router-models", help="Names of the models in a router's cache, with commas.")
@_option("-s", "--seed", type=int, help="Seed of all answers.")
@_option("-a", "--alias", help="Name of the model in answers, or several with commas.")
@_option("--tags", help="Tags of the model, with commas.")
@_option("-m", "--model", help="Path of a model; only its name is used.")
@_option("-hf", "-hfr", "--hf-repo", help="Repository of a model; only its name is used.")
@_option("-hff", "--hf-file", help="File in that repository.")
@_option("-mu", "--model-url", help="Address of a model; only its name is used.")
@_option("--api-key", "api_keys", help="Key, or several with commas.")
@_option("--api-key-file", type=click.Path(exists=True, dir_okay=False), help="Keys, one a line.")
@_option("-np", "--parallel", "slots", type=int, help="Slots; 4 by default.")
@_option("-c", "--ctx-size", "context", type=int, help="Context in tokens (4096).")
@_option("-kvu/-no-kvu", "--kv-unified/--no-kv-unified", "unified", help="Slots share the context.")
@_option("--context-shift/--no-context-shift", help="Go on when the context is full, without the oldest tokens.")
@_option("--keep", type=int, help="Tokens of the prompt that a shift keeps (0); -1: all.")
@_option("-b", "--batch-size", "batch", type=int, help="Prompt tokens a step (2048).")
@_option("-ub", "--ubatch-size", "ubatch", type=int, help="Most tokens of an embedding (512).")
@_option("-n", "--predict", "--n-predict", "n_predict", type=int, help="Tokens to generate; -1: no limit.")
@_option("--temp", "--temperature", "temperature", type=float, help="Default temperature (0.8).")
@_option("--chat-template", help="Name or Jinja text of the chat template (chatml).")
@_option("--chat-template-file", type=click.Path(exists=True, dir_okay=False), help="File of a chat template.")
@_option("--jinja/--no-jinja", help="Allow templates of any kind, and tools.")
@_option("-rea", "--reasoning", type=click.Choice(["on", "off", "auto"]), help="Let the model think.")
@_option("--reasoning-format", help="Where thoughts go: deepseek, none, auto.")
@_option("--embedding", "--embeddings", "embeddings", is_flag=True, help="Allow embeddings.")
@_option("--rerank", "--reranking", "reranking", is_flag=True, help="Allow reranking.")
@_option("--pooling", help="Pooling of embeddings (mean).")
@_option("--metrics", "metrics_endpoint", is_flag=True, help="Serve /metrics.")
@_option("--props", "props_endpoint", is_flag=True, help="Serve POST /props.")
@_option("--slots/--no-slots", "slots_endpoint", help="Serve /slots.")
@_option("--slot-save-path", help="Directory that slots are saved to.")
@_option("--lora", multiple=True, help="Path of a LoRA adapter, or several with commas; only shown.")
@_option("--lora-scaled", multiple=True, help="The same as PATH:SCALE.")
@_option("--sleep-idle-seconds", type=float, help="Sleep after being idle for this time.")
@_option("--sse-ping-interval", type=int, help="Seconds of silence after which a stream is pinged (30).")
@_option("--cors-origins", help="`*`, `localhost`, or origins with commas.")
@_option("--cors-credentials/--no-cors-credentials", help="Whether pages may send credentials (they may).")
@_option("--cors-methods", help="What a preflight is told of methods.")
@_option("--cors-headers", help="What a preflight is told of headers.")
@_option("--ui-mcp-proxy", is_flag=True, help="Serve /cors-proxy.")
@_option("--tools", help="Built-in tools; the mock only plays their effect on CORS.")
@_option("--models-dir", help="Directory of GGUF files that a router knows, by name.")
@_option("--models-preset", help="INI file of the models that a router knows.")
@_option("--models-max", type=int, help="Models a router keeps loaded (4).")
@_option("--models-autoload/--no-models-autoload", help="Load a router's model when it is asked for.")
@_option("--stop-with-stdin", is_flag=True, help="Stop, too, when standard input (a pipe) is closed.")
@_option("--detach", is_flag=True, help="Return when it listens, and let it go on in the background.")
@_option("--tui", is_flag=True, help="Show state, slots and requests in the terminal; keys change the state.")
@_option("-v", "--verbose", is_flag=True, help="Say which options were ignored; answers carry `__verbose`.")
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """A llama-server without a model: its wire behaviour, and its life cycle to play with.

    Other options of llama-server are accepted and have no effect. To record a real one and to play that back:
    `mock-llama-server record --help` and `replay --help`; to measure how fast it is, `profile --help`.
    """
    if options.pop("detach"):
        from mockserver.cli.detached import start

        context.exit(start([word for word in sys.argv[1:] if word != "--detach"]))
    if options["verbose"] and context.obj:
        say(f"main: ignored: {' '.join(context.obj)}")
    stop_with_stdin, tui = options.pop("stop_with_stdin"), options.pop("tui")
    try:
        code = _serve(options_from(options, os.environ), stop_with_stdin, tui)
    except (PortTaken, ValueError) as error:
        raise click.ClickException(str(error)) from error
    context.exit(code)


def _serve(options: Options, stop_with_stdin: bool, tui: bool) -> int:
    """Open the port, and only then import what serves it: whoever connects waits for that moment.

    Returns the exit code. Raises PortTaken, and ValueError for options that cannot be served.
    """
    say(f"build_info: {BUILD_INFO} (mock)")
    port = Port(options.host, options.port)
    port.hold()
    if not options.scenario and options.state not in CLOSED:
        port.listen()
    try:
        with _without_collections(), contextlib.nullcontext() if options.ui_mcp_proxy else _without_authorities():
            from mockserver.cli.process import run

        return run(options, port, stop_with_stdin=stop_with_stdin, tui=tui)
    finally:
        port.let_go()


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Nothing that is imported becomes garbage: to look for some would be a tenth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def _without_authorities() -> Iterator[None]:
    """aiohttp reads the system's certificate authorities as it is imported, for its client: a tenth of the start.

    Only the proxy of `--ui-mcp-proxy` has a use for that client.
    """
    given = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    try:
        yield
    finally:
        del os.environ["SSL_CERT_FILE"]
        if given is not None:
            os.environ["SSL_CERT_FILE"] = given
