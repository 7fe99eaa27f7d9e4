"""What a mock is started with: llama-server's own options that change an answer, and the mock's own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from mockserver.core.option_values import check_values
from mockserver.core.state import StateName, state_named

BUILD_INFO = "b11434-unknown"
"""The build that is played, for `system_fingerprint` and `build_info`. Of which commit it is, PyPI does not say."""

DEFAULT_SLOTS = 4

_MOST_STD_DEV = 0.3
"""Of a time, as a share of it (as in llm-d's inference simulator)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """One mock's options. Durations are seconds; a duration of `None` lasts until told otherwise.

    `ttft`, `tokens_per_second` and `prompt_tokens_per_second` are those of a server with one client; what they are with
    more follows, as all slots share the steps of one model. With all slots at work a token takes `load_factor` times as
    long; by default a further answer costs half of the first one's time. `jitter` is the share by which a step
    may differ, either way, by the seed's dice; `ttft_std_dev` and `token_std_dev` are seconds, at most 30 % of what
    they belong to. `profile` names a measured server, or its file, instead.

    `leaving` says when the mock notices a client that left, and how it stops: `polled` as llama-server, `immediate` at
    once.

    The control port answers to `localhost`, addresses, the names in `host`, and `control_names`.

    `endless` is a model that never ends an answer by itself, `grammars=False` one whose vocabulary no grammar
    can be applied to: what a tiny model with random weights is like. `vocabulary` says how texts are
    split, and which special tokens there are: as in SmolLM2, as in llama.cpp's small test models, whose prompts begin
    with `<s>`, or as in BERT, with a token before and one after each prompt.

    `scenario` is a YAML file, `answers` are several, `clock` is real or virtual, `faults` are lines as in
    docs/guide/mock-faults.md. What no canned answer fits is answered from the folder `recordings`, or else passed on to
    the server at `else_url` and kept there. The journal keeps `journal_entries` exchanges, `journal_body_bytes` of each
    body, and `journal_bytes` of all of them; keys and cookies only with `journal_secrets`. Raises ValueError for a
    value that cannot be.
    """

    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    control_names: Sequence[str] = ()
    api_keys: Sequence[str] = field(default=(), repr=False)

    state: StateName = "ready"
    load_seconds: float | None = 2.0
    down_seconds: float | None = 2.0
    up_seconds: float | None = None

    ttft: float = 0.0
    tokens_per_second: float = 0.0
    prompt_tokens_per_second: float = 0.0
    jitter: float = 0.0
    ttft_std_dev: float = 0.0
    token_std_dev: float = 0.0
    load_factor: float | None = None
    profile: str = ""
    leaving: Literal["polled", "immediate"] = "polled"
    seed: int = 0

    alias: str = ""
    model: str = ""
    slots: int = DEFAULT_SLOTS
    context: int = 4096
    unified: bool = True
    context_shift: bool = False
    keep: int = 0
    n_predict: int = -1
    temperature: float = 0.8
    sampling_seed: int = 4294967295
    chat_template: str = ""
    chat_template_source: str = ""
    jinja: bool = True
    reasoning: Literal["on", "off", "auto"] = "auto"
    reasoning_format: str = "deepseek"
    embeddings: bool = False
    reranking: bool = False
    pooling: str = "mean"
    slots_endpoint: bool = True
    metrics_endpoint: bool = False
    batch: int = 2048
    ubatch: int = 512
    sse_ping_interval: int = 30
    verbose: bool = False
    tags: str = ""
    props_endpoint: bool = False
    slot_save_path: str = ""
    lora: Sequence[str] = ()
    lora_scaled: Sequence[str] = ()
    infill: bool = False
    sleep_idle_seconds: float = -1
    wake_seconds: float = 0.0
    cors_origins: str = ""
    cors_credentials: bool = True
    cors_methods: str = "GET, POST, DELETE, OPTIONS"
    cors_headers: str = "*"
    ui_mcp_proxy: bool = False
    tools: str = ""
    vertex_route: str = ""

    router: bool = False
    router_models: Sequence[str] = (
        "ggml-org/tinygemma3-GGUF:Q8_0",
        "ggml-org/test-model-stories260K:F32",
        "ggml-org/test-model-stories260K-infill:F32",
    )
    models_dir: str = ""
    models_preset: str = ""
    models_max: int = 4
    models_autoload: bool = True
    debug_delays: bool = False

    scenario: str = ""
    clock: Literal["real", "virtual"] = "real"
    faults: Sequence[str] = ()
    answers: Sequence[str] = ()
    else_url: str = ""
    recordings: str = ""
    journal_entries: int = 1000
    journal_body_bytes: int = 1024 * 1024
    journal_bytes: int = 64 * 1024 * 1024
    journal_secrets: bool = False

    endless: bool = False
    grammars: bool = True
    vocabulary: Literal["chatml", "stories", "bert"] = "chatml"

    def __post_init__(self) -> None:
        state_named(self.state)
        check_values(self)
        if bool(self.else_url) != bool(self.recordings):
            raise ValueError("'else_url' and 'recordings' belong together: what is passed on is recorded")
        means = (("ttft_std_dev", self.ttft), ("token_std_dev", 1 / (self.tokens_per_second or math.inf)))
        for name, mean in means:
            if not 0 <= getattr(self, name) <= _MOST_STD_DEV * mean:
                raise ValueError(f"'{name}' is at most 30 % of the time it belongs to, {mean:g} s")

    @property
    def model_path(self) -> str:
        """The path in `/props`."""
        return self.model or "models/mock.gguf"

    @property
    def aliases(self) -> list[str]:
        """The names given, in the order of the alphabet."""
        return sorted(name for name in self.alias.split(",") if name)

    @property
    def tag_list(self) -> list[str]:
        """The tags given, in the order of the alphabet."""
        return sorted(tag for tag in self.tags.split(",") if tag)

    @property
    def adapters(self) -> list[tuple[str, float]]:
        """The LoRA adapters and their scales. Raises ValueError for one that is not `PATH:SCALE`."""
        scaled = [item.partition(":") for listed in self.lora_scaled for item in listed.split(",")]
        try:
            known = [(path, float(scale)) for path, _, scale in scaled]
        except ValueError as error:
            raise ValueError(f"--lora-scaled is PATH:SCALE, or several with commas: {error}.") from error
        return [(path, 1.0) for listed in self.lora for path in listed.split(",")] + known

    @property
    def model_name(self) -> str:
        """The name in every answer: the first alias, else the file's name, else `mock`."""
        return self.aliases[0] if self.alias else self.model.rpartition("/")[2] or "mock"

    @property
    def makes_embeddings(self) -> bool:
        """Whether vectors can be asked for: reranking is one kind of pooling of them."""
        return self.embeddings or self.reranking

    @property
    def pooling_type(self) -> str:
        """How the vectors of a text's tokens become one; with both options the mock serves embeddings, too."""
        return "rank" if self.reranking and not self.embeddings else self.pooling

    @property
    def splits_inputs(self) -> bool:
        """Whether an input may take several batches: the last token's vector needs no other, but an encoder's do."""
        return self.pooling_type in ("last", "rank") and self.vocabulary != "bert"

    @property
    def allowed_origins(self) -> str:
        """Who may read answers in a browser; with tools at hand, only pages of this machine."""
        return self.cors_origins or ("localhost" if self.tools else "*")

    @property
    def slot_context(self) -> int:
        """Tokens one slot holds: all of them when the cache is unified, an equal share otherwise."""
        return self.context if self.unified else self.context // self.slots
