"""Every `cause` that the gateway's log can hold, read from its code."""

import ast
from collections.abc import Iterator
from pathlib import Path

# The first argument of these becomes a cause.
_SAYING = {"UpstreamError", "UpstreamTimeoutError", "BusyError", "_fail", "give_up", "_refuse"}


def causes(package: Path) -> list[str]:
    """The sentences in order of the alphabet; `…` stands for what is filled in."""
    found = set[str]()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found.update(text for said in _said(node) for text in _texts(said) if text.strip("… "))
    return sorted(found)


def _said(node: ast.AST) -> Iterator[ast.expr]:
    """What is said of an upstream, what is given as a cause, and what a function returns that makes one."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _SAYING:
            yield from node.args[:1]
        yield from (keyword.value for keyword in node.keywords if keyword.arg == "cause")
    elif isinstance(node, ast.FunctionDef) and node.name.endswith("_cause"):
        yield from (made.value for made in ast.walk(node) if isinstance(made, ast.Return) and made.value is not None)
    elif isinstance(node, ast.Assign) and isinstance(place := node.targets[0], ast.Attribute) and place.attr == "cause":
        yield node.value


def _texts(said: ast.expr) -> Iterator[str]:
    """The texts of a literal; nothing for what is none."""
    if isinstance(said, ast.IfExp):
        yield from _texts(said.body)
        yield from _texts(said.orelse)
    elif isinstance(said, ast.Constant) and isinstance(said.value, str):
        yield said.value
    elif isinstance(said, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in said.values)
