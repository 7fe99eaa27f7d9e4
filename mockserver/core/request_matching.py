"""Which requests a fault or a canned answer is meant for."""

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, TypedDict

_PROBES = frozenset({"/health", "/v1/health", "/props"})


@dataclass
class RequestView:
    """A request as rules see it, parsed once: its JSON fields, its last user message, its turn."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The JSON object of the body; empty if it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @cached_property
    def turns(self) -> list[tuple[str, str]]:
        """Role and text of each message, whichever protocol it came in; a tool's result has the role `tool`."""
        listed = self.fields.get("messages", self.fields.get("input", self.fields.get("prompt")))
        return [_role_and_text(item) for item in (listed if isinstance(listed, list) else [listed])]

    @property
    def text(self) -> str:
        """The last user message, or the prompt."""
        return next((text for role, text in reversed(self.turns) if role == "user"), "")

    @property
    def turn(self) -> int:
        """How often the assistant has spoken since the last user message."""
        roles = [role for role, _ in self.turns]
        since = roles[len(roles) - roles[::-1].index("user") :] if "user" in roles else roles
        return sum(before != "assistant" and role == "assistant" for before, role in pairwise(["", *since]))

    def with_results(self, is_result: Callable[[int, str], bool]) -> "RequestView":
        """The request as it is meant by a client that returns the results of tools as user messages.

        `is_result` is told how often the assistant has spoken since the last question, and its last words: whether a
        user message that follows them is a result.
        """
        view = copy.copy(self)
        view.turns = list(_with_results(self.turns, is_result))
        return view

    @cached_property
    def tools(self) -> set[str]:
        """The names of the tools it offers."""
        tools = self.fields.get("tools")
        offered = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
        functions = [tool.get("function", tool) for tool in offered]
        return {str(function.get("name")) for function in functions if isinstance(function, dict)}


def _with_results(turns: Sequence[tuple[str, str]], is_result: Callable[[int, str], bool]) -> Iterator[tuple[str, str]]:
    spoken, words, before = 0, "", ""
    for role, text in turns:
        kind = role
        if role == "assistant":
            spoken, words = (spoken, words + text) if before == "assistant" else (spoken + 1, text)
        elif role == "user" and before == "assistant" and is_result(spoken, words):
            kind = "tool"
        elif role == "user":
            spoken = 0
        before = kind
        yield kind, text


def _role_and_text(item: Any) -> tuple[str, str]:
    if not isinstance(item, dict):
        return "user", item if isinstance(item, str) else ""
    if item.get("type") in {"function_call", "reasoning"}:
        return "assistant", ""
    if item.get("type") == "function_call_output":
        return "tool", str(item.get("output", ""))
    role, content = str(item.get("role", "user")), item.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    if any(part.get("type") == "tool_result" for part in parts):
        role = "tool"
    texts = [str(part.get("text", part.get("content", ""))) for part in parts]
    return role, content if isinstance(content, str) else "\n".join(texts)


class WhenKeywords(TypedDict, total=False):
    """`when={...}` of a fault or a canned answer, for type checkers and editors: the fields of `RequestMatcher`."""

    endpoint: str
    method: str
    model: str
    contains: str
    matches: str
    body_contains: str
    tool: str
    header: str
    stream: bool | None


@dataclass(frozen=True, kw_only=True)
class RequestMatcher:
    """Which requests are meant: those that all the given conditions hold for.

    `endpoint` is a path, `*` standing for anything; `contains` and `matches` (a regular expression) look at the last
    user message, `body_contains` at the whole body; `tool` is one that is offered; `header` is `Name` or `Name: value`.
    Without an endpoint every request is meant but the probes of `/health` and `/props`.
    Raises ValueError for a bad expression.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    endpoint: str = ""
    method: str = ""
    model: str = ""
    contains: str = ""
    matches: str = ""
    body_contains: str = ""
    tool: str = ""
    header: str = ""
    stream: bool | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.matches)
        except re.error as error:
            raise ValueError(f"'{self.matches}' is not a regular expression: {error}") from error

    def __call__(self, request: RequestView) -> bool:
        return self._matches_head(request) and self._matches_body(request)

    def _matches_head(self, request: RequestView) -> bool:
        if not (fnmatchcase(request.path, self.endpoint) if self.endpoint else request.path not in _PROBES):
            return False
        name, _, value = self.header.partition(":")
        given = request.headers.get(name.strip()) if name else ""
        return given is not None and value.strip() in ("", given) and self.method.upper() in ("", request.method)

    def _matches_body(self, request: RequestView) -> bool:
        return (
            self.model in ("", request.fields.get("model"))
            and self.contains in request.text
            and (not self.matches or re.search(self.matches, request.text) is not None)
            and self.body_contains.encode() in request.body
            and (not self.tool or self.tool in request.tools)
            and self.stream in (None, bool(request.fields.get("stream")))
        )
