"""Canned answers: what is said to which request, over one turn or several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, ClassVar, Literal, TypedDict, Unpack

from mockserver.core.api_errors import ApiError
from mockserver.core.request_matching import RequestMatcher, RequestView, WhenKeywords

_LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore "
    "magna aliqua."
)

_CODE_MARKS = ("<code>", "```")
"""What a text has in it that calls tools by code, as that for an agent that runs it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A tool call."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CannedTurn:
    """What the assistant says when it is its turn: thoughts, then text, then tool calls.

    The text is given, read from `file` when it is said, `echo` (the last user message) or `lorem` (so many words).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    text: str = ""
    file: str = ""
    say: Literal["echo", "lorem"] | None = None
    words: int = 50
    reasoning: str = ""
    calls: Sequence[ToolCall] = ()

    def __post_init__(self) -> None:
        if sum(map(bool, (self.text, self.file, self.say))) > 1:
            raise ValueError("give one of 'text', 'file' and 'say'")
        if self.file and not Path(self.file).is_file():
            raise ValueError(f"there is no file {self.file}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CannedAnswer(CannedTurn):
    """A canned answer. With `turns`, the first is said to a user message, the next to the result of its tool call, and
    so on; the last one from then on. `times`: only so many requests get it.
    """

    turns: Sequence[CannedTurn] = ()
    when: RequestMatcher = field(default_factory=RequestMatcher)
    times: int | None = None

    def __post_init__(self) -> None:
        super(CannedAnswer, self).__post_init__()
        if not (self.turns or self.text or self.file or self.say or self.calls or self.reasoning):
            raise ValueError("an answer needs 'text', 'file', 'say', 'calls' or 'turns'")
        if self.times is not None and self.times < 1:
            raise ValueError("'times' must be more than 0")


class AnswerKeywords(TypedDict, total=False):
    """What `answers.add` takes, for type checkers and editors: the fields of `CannedAnswer`."""

    text: str
    file: str
    say: Literal["echo", "lorem"] | None
    words: int
    reasoning: str
    calls: Sequence[ToolCall | Mapping[str, Any]]
    turns: Sequence[CannedTurn | Mapping[str, Any] | str]
    when: RequestMatcher | WhenKeywords
    times: int | None


@dataclass(frozen=True, slots=True)
class CannedReply:
    """What is said to one request: a turn whose text has been read, echoed or made up."""

    text: str = ""
    reasoning: str = ""
    calls: Sequence[ToolCall] = ()


@dataclass(slots=True)
class StoredAnswer:
    """A canned answer in the list, and how often it was given."""

    id: int
    answer: CannedAnswer
    given: int = 0

    @property
    def turns(self) -> Sequence[CannedTurn]:
        """What is said, turn by turn."""
        return self.answer.turns or [self.answer]

    def matches(self, request: RequestView) -> bool:
        """Whether a request gets it."""
        is_left = self.answer.times is None or self.given < self.answer.times
        return is_left and self.answer.when(self._view(request))

    def give(self, request: RequestView) -> CannedReply:
        """What is said to a request that gets it."""
        self.given += 1
        request = self._view(request)
        turn = self.turns[min(request.turn, len(self.turns) - 1)]
        return CannedReply(_text(turn, request), turn.reasoning, turn.calls)

    def _view(self, request: RequestView) -> RequestView:
        return request.with_results(self._is_followed_by_result)

    def _is_followed_by_result(self, spoken: int, words: str) -> bool:
        """Whether the assistant's words are a turn that calls tools, written as text, and that another follows."""
        if spoken >= len(self.turns):
            return False
        turn = self.turns[spoken - 1]
        if turn.calls:
            return all(call.name in words for call in turn.calls)
        return any(mark in turn.text for mark in _CODE_MARKS) and turn.text.strip() in words

    def as_json(self) -> dict[str, Any]:
        """The answer as the control API shows it."""
        from mockserver.core.rule_syntax import shown

        return {"id": self.id, **shown(self.answer), "given": self.given}


class CannedAnswers:
    """The canned answers of a mock, the newest first: so a test's own goes before those of a scenario."""

    def __init__(self) -> None:
        self._answers: list[StoredAnswer] = []
        self._of_files: list[StoredAnswer] = []  # all others go before them
        self._last_id = 0

    def __iter__(self) -> Iterator[StoredAnswer]:
        return iter([*self._answers, *self._of_files])

    def __len__(self) -> int:
        return len(self._answers) + len(self._of_files)

    def add(
        self, answer: "str | Mapping[str, Any] | CannedAnswer | None" = None, **fields: Unpack[AnswerKeywords]
    ) -> StoredAnswer:
        """Can an answer: `add("Hello.", when={"contains": "hi"})`, `add(calls=[{"name": "f"}])`. Raises BadRule."""
        stored = self._store(_read(answer, fields))
        self._answers.insert(0, stored)
        return stored

    def replace_those_of_files(self, answers: Sequence[CannedAnswer]) -> None:
        """Put these in place of the earlier ones of files."""
        self._of_files = [self._store(answer) for answer in answers]

    def _store(self, answer: CannedAnswer) -> StoredAnswer:
        self._last_id += 1
        return StoredAnswer(self._last_id, answer)

    def remove(self, number: int) -> None:
        """Forget one, by its id; raises KeyError for an unknown one."""
        if all(stored.id != number for stored in self):
            raise KeyError(number)
        self._answers = [stored for stored in self._answers if stored.id != number]
        self._of_files = [stored for stored in self._of_files if stored.id != number]

    def clear(self) -> None:
        """Forget all."""
        self._answers, self._of_files = [], []

    def has_one_for(self, request: RequestView) -> bool:
        """Whether what is said to a request is canned."""
        return any(one.matches(request) for one in self)

    def choose(self, request: RequestView) -> CannedReply | None:
        """What is said to a request, if that is canned."""
        stored = next((one for one in self if one.matches(request)), None)
        return None if stored is None else stored.give(request)


def _read(answer: "str | Mapping[str, Any] | CannedAnswer | None", fields: Mapping[str, Any]) -> CannedAnswer:
    if isinstance(answer, CannedAnswer):
        return answer
    from mockserver.core.rule_syntax import check

    return check(CannedAnswer, {**as_mapping(answer or {}), **as_mapping(fields)})


def as_mapping(written: str | Mapping[str, Any]) -> dict[str, Any]:
    """An answer as people write it, in full: a line is the text of one, and so it is of a turn."""
    if isinstance(written, str):
        return {"text": written}
    whole = dict(written)
    if isinstance(turns := whole.get("turns"), list):
        whole["turns"] = [{"text": turn} if isinstance(turn, str) else turn for turn in turns]
    return whole


def _text(turn: CannedTurn, request: RequestView) -> str:
    if turn.file:
        return _read_text(turn.file)
    if turn.say == "echo":
        return request.text
    if turn.say == "lorem":
        return " ".join(islice(cycle(_LOREM.split()), turn.words))
    return turn.text


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ApiError(500, f"the canned answer's file {path} cannot be read: {error}") from error
