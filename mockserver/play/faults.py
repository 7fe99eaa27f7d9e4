"""Faults: what they are, which request meets which, and how often. `mockserver/server/faults/` injects them."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Literal, TypedDict, Unpack

from mockserver.core.request_matching import RequestMatcher, RequestView, WhenKeywords

KINDS: dict[str, frozenset[str]] = {
    "refuse": frozenset({"reset"}),
    "hang": frozenset({"seconds"}),
    "cut": frozenset({"after_bytes", "after_events", "after_characters", "at", "reset"}),
    "no-done": frozenset(),
    "error-event": frozenset({"after_events", "status", "message", "body"}),
    "trickle": frozenset({"bytes_per_second"}),
    "garbage": frozenset({"after_events"}),
    "content-type": frozenset({"value"}),
    "content-length": frozenset({"by"}),
    "huge-header": frozenset({"size"}),
    "status": frozenset({"status", "message", "body", "headers"}),
    "redirect": frozenset({"to", "status"}),
    "gzip": frozenset(),
    "pings": frozenset({"size"}),
}
"""The kinds of fault, each with the fields of its own; the fields that say when are for all."""

_WHEN = frozenset({"fault", "times", "every", "skip", "when", "label"})
_PLACES = ("after_bytes", "after_events", "after_characters", "at")
_KEPT_HEADERS = 1000
"""Faults by header whose counts are kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One way to break an answer, and when. Raises ValueError for fields that its kind does not take.

    `times`: the next so many; `every`: each n-th only; `skip`: not the first so many. `label` tells the counts of
    equal faults apart that come by header. `"503"` is short for `status` with `status=503`.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "coerce_numbers_to_str": True}

    fault: str
    after_bytes: int | None = None
    after_events: int | None = None
    after_characters: int | None = None
    at: Literal["head", "event", "character", "done"] | None = None
    reset: bool = False
    seconds: float | None = None
    bytes_per_second: float | None = None
    by: int = 10
    size: int | None = None
    value: str = "text/html"
    to: str = ""
    status: int | None = None
    message: str = ""
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int | None = None
    every: int | None = None
    skip: int = 0
    when: RequestMatcher = field(default_factory=RequestMatcher)
    label: str = ""

    def __post_init__(self) -> None:
        if self.fault.isdecimal():
            object.__setattr__(self, "status", int(self.fault))
            object.__setattr__(self, "fault", "status")
        if self.fault not in KINDS:
            raise ValueError(
                f"{self.fault!r} is no fault; there are {', '.join(sorted(KINDS))} and any status, as '503'"
            )
        self._check_fields()
        self._check_numbers()

    def _check_fields(self) -> None:
        given = {name for name in self.__slots__ if getattr(self, name) != _DEFAULTS[name]}
        if strange := sorted(given - KINDS[self.fault] - _WHEN):
            taken = ", ".join(sorted(KINDS[self.fault] | _WHEN - {"fault"}))
            raise ValueError(f"'{self.fault}' does not take '{strange[0]}'; it takes {taken}")
        if self.fault == "cut" and not given & set(_PLACES):
            raise ValueError(f"'cut' needs one of {', '.join(_PLACES)}")
        for name, kind in (("status", "status"), ("to", "redirect"), ("bytes_per_second", "trickle")):
            if self.fault == kind and name not in given:
                raise ValueError(f"'{kind}' needs '{name}'")

    def _check_numbers(self) -> None:
        for name in ("after_bytes", "after_events", "after_characters", "seconds", "skip", "size"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"'{name}' must be 0 or more")
        for name in ("times", "every", "bytes_per_second"):
            number = getattr(self, name)
            if number is not None and number <= 0:
                raise ValueError(f"'{name}' must be more than 0")
        if self.status is not None and not 300 <= self.status <= 599:
            raise ValueError("'status' must be between 300 and 599")


class FaultKeywords(TypedDict, total=False):
    """What `faults.add` takes besides the kind, for type checkers and editors: the fields of `Fault`."""

    after_bytes: int | None
    after_events: int | None
    after_characters: int | None
    at: Literal["head", "event", "character", "done"] | None
    reset: bool
    seconds: float | None
    bytes_per_second: float | None
    by: int
    size: int | None
    value: str
    to: str
    status: int | None
    message: str
    body: Any
    headers: dict[str, str]
    times: int | None
    every: int | None
    skip: int
    when: RequestMatcher | WhenKeywords
    label: str


_DEFAULTS: dict[str, Any] = {
    one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in fields(Fault)
}


@dataclass(slots=True)
class ArmedFault:
    """A fault that waits for its requests: how many matched so far, and how many met it."""

    id: int
    fault: Fault
    seen: int = 0
    played: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether it has been met as often as it was meant to be."""
        return self.fault.times is not None and self.played >= self.fault.times

    def meets(self, request: RequestView) -> bool:
        """Count a request, and say whether it meets the fault."""
        fault = self.fault
        if self.is_spent or not fault.when(request):
            return False
        self.seen += 1
        turn = self.seen - fault.skip
        is_due = turn > 0 and turn % (fault.every or 1) == 0
        self.played += is_due
        return is_due

    def as_json(self) -> dict[str, Any]:
        """The fault as the control API shows it."""
        from mockserver.core.rule_syntax import shown

        return {"id": self.id, **shown(self.fault), "seen": self.seen, "played": self.played}


class Faults:
    """The faults of a mock, in the order in which they were added. A request meets the first that is due."""

    def __init__(self) -> None:
        self._armed: list[ArmedFault] = []
        self._by_header: dict[str, ArmedFault] = {}
        self._last_id = 0

    def __iter__(self) -> Iterator[ArmedFault]:
        return iter(list(self._armed))

    def __len__(self) -> int:
        return len(self._armed)

    def add(self, fault: "str | dict[str, Any] | Fault", **fields: Unpack[FaultKeywords]) -> ArmedFault:
        """Arm a fault: `add("503", times=2)`, `add("cut after_events=3 when.contains=x")`. Raises BadRule."""
        armed = ArmedFault(self._next_id(), _read(fault, fields))
        self._armed.append(armed)
        return armed

    def remove(self, number: int) -> None:
        """Disarm one, by its id; raises KeyError for an unknown one."""
        kept = [armed for armed in self._armed if armed.id != number]
        if len(kept) == len(self._armed):
            raise KeyError(number)
        self._armed = kept

    def clear(self) -> None:
        """Disarm all, and forget the counts of those that came by header."""
        self._armed, self._by_header = [], {}

    def choose(self, request: RequestView, header: str | None = None) -> Fault | None:
        """The fault that a request meets, if any: that of its own header comes first. Raises BadRule."""
        candidates = [self._of_header(header)] if header else self._armed
        return next((armed.fault for armed in candidates if armed.meets(request)), None)

    def _of_header(self, header: str) -> ArmedFault:
        """The same text is the same fault: `503 times=2` in all requests of a test fails the first two of them."""
        if header not in self._by_header:
            if len(self._by_header) >= _KEPT_HEADERS:
                self._by_header.pop(next(iter(self._by_header)))
            self._by_header[header] = ArmedFault(0, _read(header, {}))
        return self._by_header[header]

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id


def _read(fault: "str | dict[str, Any] | Fault", fields: Mapping[str, Any]) -> Fault:
    if isinstance(fault, Fault):
        return fault
    from mockserver.core.rule_syntax import read

    return read(Fault, fault, "fault", **fields)
