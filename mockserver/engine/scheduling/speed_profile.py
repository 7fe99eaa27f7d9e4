"""How fast a real llama-server was: a YAML file that a mock plays, measured by `mock-llama-server profile`."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mockserver.core.options import DEFAULT_SLOTS

_SHIPPED = Path(__file__).with_name("profiles")


class BadProfile(ValueError):
    """A profile cannot be used; the message is one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds by a count, as measured at some; straight lines between them, and on behind the last."""

    counts: tuple[int, ...]
    seconds: tuple[float, ...]

    def __call__(self, count: int) -> float:
        """The seconds of a count; less than the least that was measured takes as long."""
        at = bisect_left(self.counts, count)
        if at == 0:
            return self.seconds[0]
        at = min(at, len(self.counts) - 1)
        if at == 0:
            return self.seconds[0] * count / self.counts[0]
        low, high = self.counts[at - 1], self.counts[at]
        rise = (self.seconds[at] - self.seconds[at - 1]) / (high - low)
        return self.seconds[at - 1] + rise * (count - low)


@dataclass(frozen=True, slots=True)
class SpeedProfile:
    """A server with so many `slots`. `answers` is a step's time by the answers that run, `prompts` by the prompt tokens
    in it; the standard deviations are shares of them. `request_seconds` pass from a request until the first step. For
    each token in the contexts of its answers a step takes `context_seconds` longer.
    """

    slots: int
    request_seconds: float
    answers: Curve
    answers_std_dev: float
    prompts: Curve
    prompts_std_dev: float
    context_seconds: float = 0.0


def shipped() -> list[str]:
    """The names of the profiles in the package."""
    return sorted(file.stem for file in _SHIPPED.glob("*.yaml"))


def load(profile: str) -> SpeedProfile:
    """A profile by its name, if it is in the package, or by its file. Raises BadProfile."""
    import yaml

    file = _SHIPPED / f"{profile}.yaml" if profile in shipped() else Path(profile)
    try:
        return _read(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadProfile(
            f"no profile {profile!r}: {error.strerror}; those in the package are {', '.join(shipped())}."
        ) from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise BadProfile(f"{profile} is no profile of a server's speed: {error}.") from error


def slots_of(profile: str) -> int:
    """The slots of a profile, or those of a mock without one. Raises BadProfile."""
    return load(profile).slots if profile else DEFAULT_SLOTS


def _read(document: Any) -> SpeedProfile:
    if not isinstance(document, Mapping):
        raise TypeError("it is no mapping")
    return SpeedProfile(
        slots=int(document["slots"]),
        request_seconds=float(document.get("request_seconds", 0)),
        answers=_curve(document["answers"]["seconds"]),
        answers_std_dev=float(document["answers"].get("std_dev", 0)),
        prompts=_curve(document["prompts"]["seconds"]),
        prompts_std_dev=float(document["prompts"].get("std_dev", 0)),
        context_seconds=float(document["answers"].get("context_seconds", 0)),
    )


def _curve(points: Mapping[int, float]) -> Curve:
    counts = sorted(points)
    if not counts or counts[0] < 1 or any(not isinstance(count, int) or points[count] <= 0 for count in counts):
        raise ValueError("its seconds are positive, by whole numbers from 1 on")
    return Curve(tuple(counts), tuple(float(points[count]) for count in counts))
