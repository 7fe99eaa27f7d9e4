"""LoRA adapters: which there are, and how strongly each is applied."""

from collections.abc import Mapping, Sequence
from typing import Any

from mockserver.core.nlohmann_json import float32

Scales = dict[int, float]
"""Scales by an adapter's number, as a client writes them; an adapter left out is switched off."""


def scales_of(entries: Sequence[Any]) -> Scales:
    """The scales in a list of `{"id": .., "scale": ..}`; what has another type counts as missing, as in llama.cpp."""
    scales = Scales()
    for entry in entries:
        fields = entry if isinstance(entry, dict) else {}
        scales[int(_number(fields, "id", -1))] = float32(_number(fields, "scale", 0.0))
    return dict(sorted(scales.items()))


def _number(fields: Mapping[str, Any], name: str, default: float) -> float:
    value = fields.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default


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
