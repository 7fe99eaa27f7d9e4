"""Server-sent events, and the protocol of a response shape: one API's way to write results.

Mirrors tools/server/server-common.cpp (`format_oai_sse` and its like).
"""

from collections.abc import Sequence
from typing import Any, Protocol

from mockserver.core.api_errors import ApiError
from mockserver.core.nlohmann_json import dump_bytes
from mockserver.engine.results import FinalResult, PartialResult, PromptProgress

PING = b":\n\n"
"""A comment, which keeps a silent stream alive."""


def data_event(value: Any) -> bytes:
    """One server-sent event without a name."""
    return b"data: " + dump_bytes(value) + b"\n\n"


def named_event(value: dict[str, Any]) -> bytes:
    """One server-sent event named by its own `type`."""
    return f"event: {value['type']}\n".encode() + data_event(value)


class ResponseShape(Protocol):
    """How one API writes results. What a method returns is sent as one HTTP chunk, or not at all if empty."""

    def response(self, finals: Sequence[FinalResult]) -> Any:
        """The JSON value of a whole answer."""

    def prompt_progress(self, progress: PromptProgress) -> bytes:
        """The events of a prompt's progress."""

    def partial(self, partial: PartialResult) -> bytes:
        """The events of a piece of text."""

    def final(self, final: FinalResult) -> bytes:
        """The events at the end of one task."""

    def stream_end(self) -> bytes:
        """What closes the whole stream, if anything."""

    def error_event(self, error: ApiError) -> bytes:
        """The event of an error that came after the answer had begun; nothing follows it."""


class DataErrors:
    """The error event of all APIs but Anthropic's."""

    def error_event(self, error: ApiError) -> bytes:
        """One event without a name."""
        return data_event({"error": error.fields()})
