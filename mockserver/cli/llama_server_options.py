"""llama-server's command line as options of a mock; what has no effect on a mock is left out."""

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from mockserver.cli.llama_server_option_names import NAMES
from mockserver.core.options import Options
from mockserver.engine.scheduling import speed_profile

_VALUE = re.compile(r"[^-]|-\d|-$|$")
_VOCABULARIES = {"stories": re.compile("stories"), "bert": re.compile("bert|bge|jina-(?:re|emb)", re.IGNORECASE)}
"""What the names of models have in them that have another vocabulary than SmolLM2's."""
_OWN = (
    *("--control-port", "--control-names", "--state", "--load-seconds", "--down-seconds", "--up-seconds"),
    *("--wake-seconds", "--scenario", "--answers", "--else", "--recordings"),
    *("--journal-entries", "--journal-bytes", "--journal-secrets"),
    *("--jitter", "--ttft-std-dev", "--token-std-dev", "--load-factor", "--profile", "--leaving"),
    *("--endless", "--no-grammars", "--vocabulary", "--strict", "--router", "--router-models"),
)


_SUBCOMMANDS = {
    "record": "mockserver.play.recording.commands:record",
    "replay": "mockserver.play.recording.commands:replay",
    "profile": "mockserver.cli.profiling.command:profile",
}


class LlamaServerCommand(click.Command):
    """Takes llama-server's command line as it is: options without meaning for a mock are left out.

    llama-server has no subcommands, so that a first argument may name one of ours.
    """

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of this command, or of the subcommand named."""
        if not args or args[0] not in _SUBCOMMANDS:
            return super().make_context(info_name, args, parent, **extra)
        module, name = _SUBCOMMANDS[args[0]].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **self.context_settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run this command, or the subcommand whose context it is."""
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the known options with their values; remember the others for the log."""
        known = {name for option in self.params for name in (*option.opts, *option.secondary_opts)}
        known |= set(ctx.help_option_names)
        kept, ignored = list[str](), list[str]()
        target = kept
        for argument in args:
            if _VALUE.match(argument):
                target.append(argument)
                continue
            name, equals, value = argument.partition("=")
            name = name.replace("_", "-")  # as llama.cpp reads it
            target = kept if name in known else ignored
            target.append(name + equals + value)
            if name not in known and name not in NAMES:
                _check_spelling(name, known)
        ctx.obj = ignored
        return super().parse_args(ctx, kept)


def _check_spelling(name: str, played: Collection[str]) -> None:
    """Refuse what is nearly an option of the mock's own; warn of the rest, which a newer llama-server may have."""
    near = get_close_matches(name, _OWN, n=1, cutoff=0.85)
    if near:
        raise click.UsageError(f"No such option {name!r}. Did you mean {near[0]!r}?")
    near = get_close_matches(name, played, n=1, cutoff=0.75) or get_close_matches(name, NAMES, n=1, cutoff=0.75)
    hint = f"; did you mean {near[0]}?" if near else ""
    click.echo(f"warning: {name} is no option of llama-server and is ignored{hint}", err=True)


def options_from(parsed: dict[str, Any], environment: Mapping[str, str]) -> Options:
    """The options of a command line; what was not given keeps its default."""
    given = {name: value for name, value in parsed.items() if value is not None and value is not False and value != ()}
    given |= {
        name: False
        for name in ("jinja", "slots_endpoint", "grammars", "models_autoload", "unified", "cors_credentials")
        if parsed.get(name) is False
    }
    slots = given.pop("slots", -1)
    given["slots"] = slots if slots > 0 else speed_profile.slots_of(given.get("profile", ""))
    given.setdefault("unified", slots < 1)
    if not given.get("context"):
        given.pop("context", None)
    if "seed" in given:
        given["sampling_seed"] = given["seed"] % 2**32
    given["api_keys"] = _keys(given.pop("api_keys", ""), given.pop("api_key_file", None))
    given |= _model(given)
    if path := given.pop("chat_template_file", None):
        given["chat_template_source"] = Path(path).read_text(encoding="utf-8")
    given |= _recordings(given)
    for name in ("router_models", "control_names"):
        if name in given:
            given[name] = tuple(filter(None, given[name].split(",")))
    if environment.get("AIP_MODE") == "PREDICTION":
        given["vertex_route"] = environment.get("AIP_PREDICT_ROUTE") or "/predict"
    given["debug_delays"] = bool(environment.get("LLAMA_SERVER_DEBUG_FAKE_TIMING"))
    return Options(**given)


def _recordings(given: Mapping[str, Any]) -> dict[str, str]:
    """The folder of recordings, if none is named: it goes with the first file of answers."""
    if "recordings" in given and "else_url" not in given:
        raise ValueError("--recordings is for --else URL: name that server, even if it is away.")
    if "recordings" in given or "else_url" not in given:
        return {}
    answers: Sequence[str] = given.get("answers", ())
    return {"recordings": str(Path(answers[0]).with_suffix(".recordings")) if answers else "recordings"}


def _keys(listed: str, path: str | None) -> tuple[str, ...]:
    lines = Path(path).read_text(encoding="utf-8").splitlines() if path else []
    from_file = [line.strip() for line in lines if not line.startswith("#")]
    return tuple(filter(None, [*listed.split(","), *from_file]))


def _model(given: dict[str, Any]) -> dict[str, Any]:
    """The path of the model, and whether there is none: then the server is a router."""
    repository, file = given.pop("hf_repo", ""), given.pop("hf_file", "")
    address = given.pop("model_url", "")
    path = given.get("model") or file or address.rpartition("/")[2] or repository.replace(":", "_")
    if path and not path.endswith(".gguf"):
        path += ".gguf"
    infill = bool(given.get("infill")) or "infill" in repository
    strict = given.pop("strict", False) and not path and not given.get("alias")
    of_models = not path and (given.get("models_dir") or given.get("models_preset"))
    router = bool(given.get("router") or strict or of_models)
    vocabulary = given.get("vocabulary") or next(
        (name for name, of in _VOCABULARIES.items() if of.search(path)), "chatml"
    )
    return {"model": path, "infill": infill, "router": router, "vocabulary": vocabulary}
