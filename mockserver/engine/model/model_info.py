"""What a server tells of its model: one entry of OpenAI's list.

Mirrors tools/server/server-context.cpp (`get_models`).
"""

from typing import Any

from mockserver.core.options import Options
from mockserver.engine.model import tokenizer

ARCHITECTURE = {"input_modalities": ["text"], "output_modalities": ["text"]}
"""What goes into the model and what comes out."""

FILE_BYTES = 16712960


def model_info(options: Options, created: int) -> dict[str, Any]:
    """The entry of `/v1/models`, which a router shows as its own."""
    about: dict[str, Any] = {"id": options.model_name, "aliases": options.aliases, "tags": options.tag_list}
    meta = {
        "vocab_type": 1,
        "n_vocab": tokenizer.VOCABULARY_SIZE,
        "n_ctx": options.slot_context,
        "n_ctx_train": 131072,
        "n_embd": 64,
        "n_params": 4178240,
        "size": FILE_BYTES,
        "ftype": "(guessed) all F32",
    }
    about |= {"object": "model", "architecture": ARCHITECTURE, "created": created, "owned_by": "llamacpp"}
    return about | {"meta": meta}
