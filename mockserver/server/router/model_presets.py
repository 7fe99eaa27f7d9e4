"""A router's models: those in its cache, the files of a directory, and the sections of an INI file.

Mirrors common/preset.cpp.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mockserver.core.options import Options

_SECTION = re.compile(r"\s*\[\s*([^\]]+?)\s*\]\s*([;#].*)?")
_OPTION = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*=\s*([^;#]*?)\s*([;#].*)?")
_NOTHING = re.compile(r"\s*([;#].*)?")
_NO_MODELS = re.compile(r"mmproj|^(mtp|dspark|dflash)-")
_ONLY_IN_PRESETS = frozenset({"dedup-cache-models", "load-on-startup", "stop-timeout"})
_SHORT = {
    "c": "ctx-size",
    "np": "parallel",
    "n-parallel": "parallel",
    "n": "n-predict",
    "predict": "n-predict",
    "a": "alias",
    "m": "model",
    "hf": "hf-repo",
    "hfr": "hf-repo",
    "s": "seed",
    "temperature": "temp",
    "embedding": "embeddings",
    "rerank": "reranking",
}


def is_true(value: str) -> bool:
    """llama.cpp's reading of a switch."""
    return value in ("on", "enabled", "true", "1")


def _chosen(value: str) -> int | None:
    """How many; None for 0 and less, where llama-server chooses by itself."""
    number = int(value)
    return number if number > 0 else None


_PLAYED: dict[str, tuple[str, Any]] = {
    "ctx-size": ("context", _chosen),
    "parallel": ("slots", _chosen),
    "n-predict": ("n_predict", int),
    "temp": ("temperature", float),
    "seed": ("sampling_seed", int),
    "model": ("model", str),
    "chat-template": ("chat_template", str),
    "reasoning": ("reasoning", str),
    "sleep-idle-seconds": ("sleep_idle_seconds", float),
    "context-shift": ("context_shift", is_true),
    "embeddings": ("embeddings", is_true),
    "reranking": ("reranking", is_true),
    "jinja": ("jinja", is_true),
}
"""Options with an effect on what the mock of a model answers: the setting, and how its value is read."""


@dataclass(frozen=True)
class ModelPreset:
    """One model. `source` is `cache`, `models_dir` or `preset`; `options` are llama-server's, without dashes."""

    name: str
    source: str
    options: Mapping[str, str] = field(default_factory=dict)
    hidden: bool = False

    def listed(self, option: str) -> list[str]:
        """An option's values between commas, in the order of the alphabet."""
        return sorted(filter(None, map(str.strip, self.options.get(option, "").split(","))))

    def is_on(self, option: str) -> bool:
        """Whether a switch is on."""
        return is_true(self.options.get(option, ""))

    def arguments(self) -> list[str]:
        """The command line of the model's own server."""
        given = [word for name, value in self._own() for word in (f"--{name}", value)]
        return ["llama-server", "--host", "127.0.0.1", "--port", "0", "--alias", self.name, *given]

    def as_ini(self) -> str:
        """Its section of an INI file."""
        lines = [f"{name} = {value}\n" for name, value in self._own()]
        return "".join((f"[{self.name}]\n", *lines, "\n"))

    def server_options(self, router: Options) -> Options:
        """What the model's server is started with; what the router was told goes before. Raises ValueError."""
        changed: dict[str, Any] = {"alias": self.name, "router": False, "tags": self.options.get("tags", "")}
        for option, (name, read) in _PLAYED.items():
            if option in self.options and getattr(router, name) == getattr(Options(), name):
                try:
                    changed[name] = read(self.options[option])
                except ValueError as error:
                    raise ValueError(f"the model '{self.name}': {option}: {error}.") from error
        return replace(router, **{name: value for name, value in changed.items() if value is not None})

    def _own(self) -> Iterator[tuple[str, str]]:
        """What it says of the model: neither its names nor what is for the router."""
        left_out = _ONLY_IN_PRESETS | {"alias", "tags", "host", "port"}
        return (pair for pair in self.options.items() if pair[0] not in left_out)


def known(router: Options) -> dict[str, ModelPreset]:
    """All models of a router by name; a section adds to a file, and a file stands before the cache.

    Raises ValueError naming file and line.
    """
    written = _sections(Path(router.models_preset)) if router.models_preset else {}
    everywhere = written.pop("*", {})
    cached = {name: {"hf-repo": name} for name in router.router_models}
    files = dict(_files(Path(router.models_dir))) if router.models_dir else {}
    sources = ((cached, "cache"), (files, "models_dir"), (written, "preset"))
    found: dict[str, ModelPreset] = {}
    for models, source in sources:
        for name, options in models.items():
            before = found[name].options if name in found else {}
            found[name] = ModelPreset(name, source, {**everywhere, **before, **options})
    for name in _used_by_presets(found):
        found[name] = replace(found[name], hidden=True)
    for preset in found.values():
        preset.server_options(router)
    return dict(sorted(found.items()))


def _used_by_presets(presets: Mapping[str, ModelPreset]) -> Iterator[str]:
    """Models of the cache that need no listing, since a preset with `dedup-cache-models` names them."""
    for preset in presets.values():
        if preset.source != "preset" or not preset.is_on("dedup-cache-models"):
            continue
        for wanted in filter(None, (preset.options.get("hf-repo"), preset.options.get("spec-draft-hf"))):
            of_cache = (other.name for other in presets.values() if other.source == "cache")
            yield from [name for name in of_cache if wanted in (name, name.rpartition(":")[0])][:1]


def _files(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The models of a directory: each GGUF file, and each directory with one. Raises ValueError."""
    if not folder.is_dir():
        raise ValueError(f"--models-dir: '{folder}' does not exist or is not a directory.")
    for path in sorted(folder.iterdir()):
        inner = sorted(path.glob("*.gguf")) if path.is_dir() else [path] if path.suffix == ".gguf" else []
        models = [file for file in inner if not _NO_MODELS.search(file.name)]
        if models:
            yield path.name.removesuffix(".gguf"), {"model": str(models[0])}


def _sections(path: Path) -> dict[str, dict[str, str]]:
    """The sections of an INI file, their options under their long names. Raises ValueError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}.") from error
    found: dict[str, dict[str, str]] = {}
    options = found.setdefault("default", {})
    for number, line in enumerate(lines, 1):
        if section := _SECTION.fullmatch(line):
            options = found[_canonical(section[1])] = {}
        elif option := _OPTION.fullmatch(line):
            options[_long(option[1])] = option[2]
        elif not _NOTHING.fullmatch(line):
            raise ValueError(f"{path}:{number}: this is neither [name] nor key = value: {line.strip()!r}.")
    for options in found.values():
        options.pop("version", None)
    return {name: options for name, options in found.items() if options or name != "default"}


def _canonical(name: str) -> str:
    """A model's name with its quantization in capitals."""
    repository, colon, tag = name.rpartition(":")
    return f"{repository}:{tag.upper()}" if colon else name


def _long(key: str) -> str:
    """An option's long name, from that, a short one, or that of its environment variable."""
    name = key.removeprefix("LLAMA_ARG_").lower().replace("_", "-") if key.startswith("LLAMA_ARG_") else key
    return _SHORT.get(name, name)
