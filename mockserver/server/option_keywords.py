"""The keyword arguments of MockLlamaServer, for type checkers and editors: the fields of `Options`, each optional."""

from collections.abc import Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Literal, TypedDict

from mockserver.core.options import Options
from mockserver.core.state import StateName
from mockserver.engine.scheduling import speed_profile


class OptionKeywords(TypedDict, total=False):
    """What `MockLlamaServer`, `Sandbox` and the fixtures' factories take. `Options` says what each means."""

    host: str
    port: int
    control_port: int
    control_names: Sequence[str]
    api_keys: Sequence[str]

    state: StateName
    load_seconds: float | None
    down_seconds: float | None
    up_seconds: float | None

    ttft: float
    tokens_per_second: float
    prompt_tokens_per_second: float
    jitter: float
    ttft_std_dev: float
    token_std_dev: float
    load_factor: float | None
    profile: str
    leaving: Literal["polled", "immediate"]
    seed: int

    alias: str
    model: str
    slots: int
    context: int
    unified: bool
    context_shift: bool
    keep: int
    n_predict: int
    temperature: float
    sampling_seed: int
    chat_template: str
    chat_template_source: str
    jinja: bool
    reasoning: Literal["on", "off", "auto"]
    reasoning_format: str
    embeddings: bool
    reranking: bool
    pooling: str
    slots_endpoint: bool
    metrics_endpoint: bool
    batch: int
    ubatch: int
    sse_ping_interval: int
    verbose: bool
    tags: str
    props_endpoint: bool
    slot_save_path: str
    lora: Sequence[str]
    lora_scaled: Sequence[str]
    infill: bool
    sleep_idle_seconds: float
    wake_seconds: float
    cors_origins: str
    cors_credentials: bool
    cors_methods: str
    cors_headers: str
    ui_mcp_proxy: bool
    tools: str
    vertex_route: str

    router: bool
    router_models: Sequence[str]
    models_dir: str
    models_preset: str
    models_max: int
    models_autoload: bool
    debug_delays: bool

    scenario: str
    clock: Literal["real", "virtual"]
    faults: Sequence[str]
    answers: Sequence[str]
    else_url: str
    recordings: str
    journal_entries: int
    journal_body_bytes: int
    journal_bytes: int
    journal_secrets: bool

    endless: bool
    grammars: bool
    vocabulary: Literal["chatml", "stories", "bert"]


_NAMES = [field.name for field in fields(Options)]


def options_of(given: OptionKeywords) -> Options:
    """The options that were given. Raises TypeError, which lists what there is, and ValueError for a bad value."""
    if unknown := sorted(set(given) - set(_NAMES)):
        near = get_close_matches(unknown[0], _NAMES, n=1)
        hint = f"did you mean {near[0]!r}? There are" if near else "there are"
        raise TypeError(f"MockLlamaServer has no option {unknown[0]!r}; {hint} {', '.join(_NAMES)}.")
    given = {"slots": speed_profile.slots_of(given.get("profile", "")), **given}
    return Options(**given)
