"""What is known of each test of the suite: it passes, or why it does not."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[2] / "tests" / "conformance"
_REASON = "  # "


@dataclass
class Known:
    """Both lists: `expected_pass.txt`, and `not_passed.txt` with a reason for each test."""

    expected: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)

    def gaps(self, collected: Iterable[str]) -> list[str]:
        """A sentence for each test that is in neither list, in both, or in one but not in the suite."""
        tests = set(collected)
        known = self.expected | set(self.reasons)
        return [
            *(f"in neither list, say in not_passed.txt why: {name}" for name in sorted(tests - known)),
            *(f"in both lists: {name}" for name in sorted(self.expected & set(self.reasons))),
            *(f"listed, but not in the suite: {name}" for name in sorted(known - tests)),
        ]

    def missing(self, outcomes: Mapping[str, str], collected: Iterable[str]) -> list[str]:
        """Expected tests among those collected that did not pass."""
        return sorted(self.expected & set(collected) - passed(outcomes))

    def new(self, outcomes: Mapping[str, str]) -> list[str]:
        """Tests that passed and were not expected to."""
        return sorted(passed(outcomes) - self.expected)

    def move(self, names: Iterable[str]) -> None:
        """From now on these are expected to pass."""
        for name in names:
            self.expected.add(name)
            self.reasons.pop(name, None)


def passed(outcomes: Mapping[str, str]) -> Set[str]:
    """Names of what passed."""
    return {name for name, outcome in outcomes.items() if outcome == "passed"}


def load(directory: Path = DIRECTORY) -> Known:
    """Read both lists; ValueError names the line of a test without a reason."""
    known = Known(set((directory / "expected_pass.txt").read_text().splitlines()))
    for number, line in enumerate((directory / "not_passed.txt").read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        name, _, reason = line.rpartition(_REASON)
        if not name or not reason.strip():
            raise ValueError(f"not_passed.txt, line {number}: a test, two spaces, '# ' and the reason are expected")
        known.reasons[name] = reason
    return known


def store(known: Known, directory: Path = DIRECTORY) -> None:
    """Write both lists; the lines that stay in `not_passed.txt` stay as they are."""
    (directory / "expected_pass.txt").write_text("".join(f"{name}\n" for name in sorted(known.expected)))
    file = directory / "not_passed.txt"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if line.rpartition(_REASON)[0] not in known.expected))
