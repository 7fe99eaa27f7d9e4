"""The samplers by every name that a request may call them, and what they cannot work with.

Mirrors common/sampling.cpp (`common_sampler_types_from_names`, `common_sampler_types_from_chars`, the checks of
`common_sampler_init`).
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mockserver.core.json_values import as_float

_BY_LETTER = {
    "d": "dry",
    "k": "top_k",
    "y": "typ_p",
    "p": "top_p",
    "s": "top_n_sigma",
    "m": "min_p",
    "t": "temperature",
    "x": "xtc",
    "i": "infill",
    "e": "penalties",
    "a": "adaptive_p",
}
_BY_NAME = {
    **{name.replace("_", ""): name for name in _BY_LETTER.values()},
    **{name.replace("_", "-"): name for name in _BY_LETTER.values()},
    **{name: name for name in _BY_LETTER.values()},
    "nucleus": "top_p",
    "temp": "temperature",
    "typ": "typ_p",
}


def samplers_named(names: Iterable[str]) -> list[str]:
    """The samplers of these names, in their order; unknown ones are left out."""
    return [_BY_NAME[name.lower()] for name in names if name.lower() in _BY_NAME]


def samplers_of_letters(letters: str) -> list[str]:
    """The samplers of these letters, in their order; unknown ones are left out."""
    return [_BY_LETTER[letter] for letter in letters if letter in _BY_LETTER]


def check(shown: Mapping[str, Any]) -> None:
    """Raises ValueError for penalties that no sampler can work with."""
    repeat = shown["repeat_penalty"]
    if repeat is None or repeat <= 0 or math.isinf(as_float(1 / repeat)):
        raise ValueError("penalty_repeat must be finite and greater than 0")
    for name, cpp in (("frequency_penalty", "penalty_freq"), ("presence_penalty", "penalty_present")):
        if shown[name] is None:
            raise ValueError(f"{cpp} must be finite")
