"""A scenario: a timeline of states, with faults and canned answers, read from YAML and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml

from mockserver.core.rule_syntax import BadRule, check, read
from mockserver.core.state import State
from mockserver.engine.canned_answers import CannedAnswer, as_mapping
from mockserver.play.faults import Fault

Rules = Sequence[str | dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """What happens `at` so many seconds after the scenario's start.

    `deploying` lasts until the next state if it has no `load_seconds`; `restarting` does not load if it has none.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    at: float = 0.0
    state: State | None = None
    load_seconds: float | None = None
    down_seconds: float | None = None
    up_seconds: float | None = None
    wake_seconds: float | None = None
    exit_code: int | None = None
    faults: Rules = ()
    answers: Rules = ()

    def __post_init__(self) -> None:
        numbers = (self.at, self.load_seconds, self.down_seconds, self.up_seconds, self.wake_seconds)
        if any((number or 0) < 0 for number in numbers):
            raise ValueError("seconds must be 0 or more")
        if self.exit_code is not None and self.state is not State.CRASHED:
            raise ValueError("'exit_code' belongs to 'state: crashed'")

    def durations(self) -> dict[str, Any]:
        """The durations that are not those of the mock's start."""
        given: dict[str, Any] = {"up_seconds": self.up_seconds}
        if self.state is State.DEPLOYING or self.load_seconds is not None:
            given["load_seconds"] = self.load_seconds
        elif self.state is State.RESTARTING:
            given["load_seconds"] = 0.0
        if self.down_seconds is not None:
            given["down_seconds"] = self.down_seconds
        if self.wake_seconds is not None:
            given["wake_seconds"] = self.wake_seconds
        return given


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A timeline, and what is armed and canned from its start. `clock` and `seed` count at the start of a mock."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    timeline: Sequence[TimelineEntry] = ()
    faults: Rules = ()
    answers: Rules = ()
    clock: Literal["real", "virtual"] | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for before, after in pairwise(self.timeline):
            if after.at < before.at:
                raise ValueError(f"the timeline goes back from {before.at:g} to {after.at:g} s")

    @property
    def begins_with_a_state(self) -> bool:
        """Whether it says what is played at 0 s."""
        return any(entry.at == 0 and entry.state is not None for entry in self.timeline)

    def entries(self) -> list[TimelineEntry]:
        """The timeline, the scenario's own faults and answers being its first entry."""
        return [TimelineEntry(faults=self.faults, answers=self.answers), *self.timeline]


def faults_of(rules: Rules) -> list[Fault]:
    """The faults of lines or mappings. Raises BadRule."""
    return [read(Fault, rule, "fault") for rule in rules]


def answers_of(rules: Rules) -> list[CannedAnswer]:
    """Canned answers; a line is the text of one. Raises BadRule."""
    return [check(CannedAnswer, as_mapping(rule) if isinstance(rule, str | Mapping) else rule) for rule in rules]


def parse(value: Any, origin: str = "scenario") -> Scenario:
    """A scenario from its mapping; a list is a timeline. Raises BadRule naming file and field."""
    if not isinstance(value, dict | list):
        raise BadRule(f"{origin}: a scenario is a mapping, or the list that is its timeline; got {value!r}.")
    try:
        scenario = check(Scenario, {"timeline": value} if isinstance(value, list) else value)
        for entry in scenario.entries():
            faults_of(entry.faults)
            answers_of(entry.answers)
    except BadRule as error:
        raise BadRule(f"{origin}: {error}") from error
    return scenario


def load(source: "str | Path | Mapping[str, Any] | Sequence[Any] | Scenario") -> Scenario:
    """A scenario from a file, or from what stands in one. Raises BadRule."""
    if isinstance(source, Scenario):
        return source
    if not isinstance(source, str | Path):
        return parse(list(source) if isinstance(source, Sequence) else dict(source))
    return parse(_beside(_yaml(Path(source)), Path(source).parent), str(source))


def load_answers(path: Path) -> list[CannedAnswer]:
    """The canned answers of a file, a list, of which the first that fits is given. Raises BadRule, naming the line."""
    rules = _beside(_yaml(path), path.parent)
    if not isinstance(rules, list):
        raise BadRule(f"{path}: canned answers are a list, '- text: ...' and so on, or [] for none.")
    answers = list[CannedAnswer]()
    for number, rule in enumerate(rules, 1):
        try:
            answers += answers_of([rule])
        except BadRule as error:
            line = _line_of((number - 1, *error.place), path)
            raise BadRule(f"{path}:{line}: answer {number}: {error}") from error
    return answers


def _line_of(place: Sequence[int | str], path: Path) -> int:
    """The line on which a field of a YAML file stands, or the innermost of those around it that stand there."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = 0 if node is None else node.start_mark.line
    for part in place:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
    return line + 1


def _beside(written: Any, folder: Path) -> Any:
    """What is written, a relative `file` in it starting at `folder`. What a tool call says is the model's own."""
    if isinstance(written, list):
        return [_beside(one, folder) for one in written]
    if not isinstance(written, dict):
        return written
    found = {name: value if name == "calls" else _beside(value, folder) for name, value in written.items()}
    if isinstance(file := found.get("file"), str):
        found["file"] = str(folder / file)
    return found


def _yaml(path: Path) -> Any:
    """What stands in a file. Raises BadRule."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadRule(f"{path}: {getattr(error, 'strerror', error)}.") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where else ""
        raise BadRule(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}.") from error
