"""What a server tells of its model: one entry of OpenAI's list."""

from typing import Any

from mockserver.core.options import Options
from mockserver.engine.model import tokenizer

FILE_BYTES = 16712960


def model_info(options: Options, created: int) -> dict[str, Any]:
    """The entry of `/v1/models`, which a router shows as its own."""
    about = {"id": options.model_name, "aliases": options.aliases, "tags": options.tag_list}
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
    return about | {"object": "model", "created": created, "owned_by": "llamacpp", "meta": meta}
