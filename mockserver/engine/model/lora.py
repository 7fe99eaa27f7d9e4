"""LoRA adapters: which there are, and how strongly each is applied.

Mirrors tools/server/server-common.cpp (`parse_lora_request`).
"""

from collections.abc import Sequence
from typing import Any

from mockserver.core.json_values import as_float, as_int, value_or
from mockserver.core.nlohmann_json import float32

Scales = dict[int, float]
"""Scales by an adapter's number, as a client writes them; an adapter left out is switched off."""


def scales_of(entries: Sequence[Any]) -> Scales:
    """The scales in a list of `{"id": .., "scale": ..}`; what has another type counts as missing, as in llama.cpp."""
    scales = {value_or(entry, "id", as_int, -1): value_or(entry, "scale", as_float, 0.0) for entry in entries}
    return dict(sorted(scales.items()))


class LoraAdapters:
    """The adapters of a server, by number, with the scales for requests that name none."""

    def __init__(self, loaded: Sequence[tuple[str, float]]) -> None:
        self._paths = [path for path, _ in loaded]
        self.scales = [float32(scale) for _, scale in loaded]

    def set(self, wanted: Scales) -> None:
        """Change the scales."""
        self.scales = self._of(wanted)

    def for_request(self, wanted: Scales) -> list[float]:
        """The scales of one request."""
        return self._of(wanted) if wanted else self.scales

    def as_json(self) -> list[dict[str, Any]]:
        """The answer of `GET /lora-adapters`."""
        return [
            {"id": number, "path": path, "scale": scale, "task_name": "", "prompt_prefix": ""}
            for number, (path, scale) in enumerate(zip(self._paths, self.scales, strict=True))
        ]

    def _of(self, wanted: Scales) -> list[float]:
        return [wanted.get(number, 0.0) for number in range(len(self._paths))]
