"""How the tests are laid out: names that can be read in a report, files that are told apart by their names."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONGEST = 70  # characters of a test's name
MOST_LINES = 350  # of a file, data and tools included
A_DOZEN = 12


def test_names_of_tests_are_short_enough_for_a_report() -> None:
    assert [(path.name, name) for path, name in _tests() if len(name) > LONGEST] == []


def test_no_two_files_of_tests_have_the_same_name() -> None:
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_a_folder_holds_a_dozen_files_of_tests_at_most() -> None:
    folders = Counter(path.parent for path in TESTS.rglob("test_*.py"))
    assert [folder for folder, count in folders.items() if count > A_DOZEN] == []


@pytest.mark.parametrize("folder", ["gateway", "mockserver", "scripts", "tests/harness"])
def test_a_folder_holds_a_dozen_modules_at_most(folder: str) -> None:
    modules = (path for path in (TESTS.parent / folder).rglob("*.py") if path.name != "__init__.py")
    folders = Counter(path.parent for path in modules)
    assert [folder for folder, count in folders.items() if count > A_DOZEN] == []


def test_a_file_is_short_enough_to_be_read_at_once() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in TESTS.rglob("*.py")}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_a_module_of_tests_lends_nothing_but_tests() -> None:
    """What others need too lies in a module named for it. Tests are lent to be run elsewhere, on another database."""
    modules = {path.stem for path in TESTS.rglob("test_*.py")}
    assert [(path.name, taken) for path, taken in _imports() if _is_lent(taken, modules)] == []


@pytest.mark.parametrize("readme", sorted(TESTS.rglob("README.md")), ids=lambda readme: readme.parent.name)
def test_the_files_that_a_readme_names_are_there(readme: Path) -> None:
    places = (TESTS.parent, TESTS / "harness", readme.parent)
    named = re.findall(r"`(\w[\w./*]*(?:\.py|/))`", readme.read_text(encoding="utf-8"))
    assert [name for name in named if not any(any(place.glob(name)) for place in places)] == []


def _tests() -> Iterator[tuple[Path, str]]:
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path, node.name


def _is_lent(taken: str, modules: set[str]) -> bool:
    """Whether it is one of these modules, or something of theirs that is no test."""
    *places, name = taken.split(".")
    return name in modules or (not modules.isdisjoint(places) and not name.startswith("test_"))


def _imports() -> Iterator[tuple[Path, str]]:
    """Every name that a module imports, behind that of the module it is from."""
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None) or ""
                yield from ((path, f"{module}.{name.name}") for name in node.names)
