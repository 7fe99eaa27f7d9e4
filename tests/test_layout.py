"""How the tests are laid out: names that can be read in a report, files that are told apart by their names."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
LONGEST = 70  # characters of a test's name


def test_names_of_tests_are_short_enough_for_a_report() -> None:
    assert [(path.name, name) for path, name in _tests() if len(name) > LONGEST] == []


def test_no_two_files_of_tests_have_the_same_name() -> None:
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_a_folder_holds_a_dozen_files_of_tests_at_most() -> None:
    folders = Counter(path.parent for path in TESTS.rglob("test_*.py"))
    assert [folder for folder, count in folders.items() if count > 12] == []


def _tests() -> Iterator[tuple[Path, str]]:
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path, node.name
