"""One word, one thing: no class name and no module name stands for two ideas in the two packages."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_PACKAGES = ("gateway", "mockserver")

_AS_GIVEN = "what the registry holds, and the same as an operation gives it"
_SAME_CLASS = {
    "Account": _AS_GIVEN,
    "Key": _AS_GIVEN,
    "Deployment": "a model behind a base URL: as the gateway serves it, an operation gives it, and a test steers it",
    "Metrics": "the numbers behind `/metrics`",
}
_SAME_MODULE = {
    "__init__.py": "Python's own name",
    "__main__.py": "Python's own name",
    "aiohttp_internals.py": "what a package uses of aiohttp beyond its documented interface",
    "app.py": "the aiohttp application of a package",
    "command.py": "the command that a folder is about",
    "deployment.py": "the class Deployment",
    "metrics.py": "the class Metrics",
    "routes.py": "the table of routes of a package",
}


def _modules() -> Iterator[Path]:
    return (path for package in _PACKAGES for path in sorted((_ROOT / package).rglob("*.py")))


@cache
def _places_of_classes() -> Mapping[str, list[str]]:
    places = defaultdict[str, list[str]](list)
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(_ROOT)}:{node.lineno}")
    return places


@cache
def _packages_of_modules() -> Mapping[str, set[str]]:
    packages = defaultdict[str, set[str]](set)
    for path in _modules():
        packages[path.name].add(path.relative_to(_ROOT).parts[0])
    return packages


def test_no_class_name_stands_for_two_ideas() -> None:
    twice = {name: places for name, places in _places_of_classes().items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in _SAME_CLASS} == {}


def test_no_module_name_stands_for_two_ideas() -> None:
    in_both = {name for name, packages in _packages_of_modules().items() if len(packages) > 1}
    assert in_both - set(_SAME_MODULE) == set()


@pytest.mark.parametrize("name", _SAME_CLASS)
def test_a_class_name_with_an_excuse_is_still_used_twice(name: str) -> None:
    assert len(_places_of_classes()[name]) > 1


@pytest.mark.parametrize("name", _SAME_MODULE)
def test_a_module_name_with_an_excuse_is_still_in_both(name: str) -> None:
    assert _packages_of_modules()[name] == set(_PACKAGES)
