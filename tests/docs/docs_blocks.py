"""The parts of the documents that are made from the code. `python -m tests.docs.docs_blocks` writes them anew.

A part stands between `<!-- NAME -->` and `<!-- /NAME -->`. Where a table has columns that only a person can write,
their words are kept with the row they belong to; a row that is new has them empty, and a test asks for them.
"""

import ast
import configparser
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import yaml

from gateway.config.settings import json_schema
from gateway.core import endpoints, errors
from gateway.core.answer.usage import Usage
from gateway.core.deployment import Status
from gateway.core.exchange import Ending, Exchange
from gateway.core.http import headers
from gateway.team.scopes import ALL_SCOPES, SCOPES
from gateway.telemetry.log_fields import log_fields
from mockserver.cli import main as mock_cli
from mockserver.core.state import State
from mockserver.play.faults import KINDS
from tests.docs.admin_reference import operations, summaries
from tests.docs.docs_causes import causes
from tests.docs.docs_pages import PAGES, ROOT

_BLOCK = re.compile(r"<!-- ([a-z-]+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)


def rewritten(text: str) -> str:
    """The text of a page with every part in it as the code says it now. Raises KeyError for an unknown part."""
    return _BLOCK.sub(lambda found: f"<!-- {found[1]} -->\n{BLOCKS[found[1]](found[2])}<!-- /{found[1]} -->", text)


def written_by_hand(text: str) -> str:
    """The text of a page without those parts."""
    return _BLOCK.sub("", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], old: str, *, by_hand: int = 0, key: int = 1) -> str:
    """A table in Markdown. The last `by_hand` columns are taken from `old`, by the first `key` cells of the row."""
    written = {}
    for line in old.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        written[tuple(cells[:key])] = cells[len(head) - by_hand :]
    whole = ([*row, *written.get(tuple(row[:key]), [""] * by_hand)] for row in rows)
    return "".join(_line(cells) for cells in (head, ["---"] * len(head), *whole))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


# --- the contract


def _message(row: errors.ErrorRow) -> str:
    detail = row.reason if row.reason in {str(status) for status in Status} else "…"
    return f"`{row.message.format(detail=detail)}`"


def _sent(row: errors.ErrorRow) -> str:
    return ", ".join(f"`{name}: {value}`" for name, value in row.headers.items()) or "–"


def _refusals(old: str) -> str:
    rows = [(str(row.status), f"`{row.type}`", _message(row), _sent(row)) for row in errors.CONTRACT]
    return table(("status", "type", "message", "headers", "when"), rows, old, by_hand=1, key=4)


def _contract(rows: Iterable[errors.ErrorRow]) -> Callable[[str], str]:
    def block(old: str) -> str:
        cells = [(f"`{row.reason}`", str(row.status), f"`{row.type}`", _message(row), _sent(row)) for row in rows]
        return table(("reason", "status", "type", "message", "headers", "when"), cells, old, by_hand=1)

    return block


def _endpoints(old: str) -> str:
    rows = [(f"`{one.method} {one.path}`", str(one.group)) for one in endpoints.ENDPOINTS.values()]
    return table(("endpoint", "group"), rows, old)


def _never(old: str) -> str:
    rows = [(f"`{endpoint}`", reason) for endpoint, reason in endpoints.NEVER.items()]
    return table(("endpoint of llama-server", "why it is never served"), rows, old)


def _names(exact: Iterable[bytes], prefixes: Iterable[bytes]) -> str:
    names = [name.decode() for name in sorted(exact)] + [f"{prefix.decode()}…" for prefix in prefixes]
    return ", ".join(f"`{name}`" for name in names)


def _headers_up(_old: str) -> str:
    never = ", ".join(f"`{name.decode()}`" for name in sorted(headers._NEVER_UP))
    return f"{_names(headers._UP, headers._UP_PREFIXES)}; but never {never}.\n"


def _headers_down(_old: str) -> str:
    return f"{_names(headers._DOWN, headers._DOWN_PREFIXES)}.\n"


def _headers_lists(_old: str) -> str:
    return f"{_names(headers._LISTS, ())}.\n"


def _headers_always(_old: str) -> str:
    fields = {**headers.request_id_fields("…"), **headers.ALWAYS}
    lines = [f"{name}: {value}" for name, value in fields.items()]
    return ", ".join(f"`{line}`" for line in lines) + ".\n"


# --- configuration


def _settings(old: str) -> str:
    schema = json_schema()
    rows = [(f"`{path}`", kind, default, words) for path, kind, default, words in _fields(schema, schema, "")]
    return table(("setting", "value", "default", "what it means"), rows, old)


def _fields(node: dict[str, Any], schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Every leaf of the schema below `node`: its path, its kind of value, its default, its description."""
    for name, field in node.get("properties", {}).items():
        inner = _resolved(field, schema)
        path = f"{prefix}{name}"
        if "patternProperties" in inner:
            (entry,) = inner["patternProperties"].values()
            yield from _fields(_resolved(entry, schema), schema, f"{path}.ID.")
        elif isinstance(inner.get("additionalProperties"), dict):
            yield from _fields(_resolved(inner["additionalProperties"], schema), schema, f"{path}.NAME.")
        elif "properties" in inner:
            yield from _fields(inner, schema, f"{path}.")
        elif "properties" in _resolved(inner.get("items", {}), schema):
            yield from _fields(_resolved(inner["items"], schema), schema, f"{path}[].")
        else:
            yield path, _kind(inner, schema), _default(name, field, node), str(field.get("description", ""))


def _resolved(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema a field refers to; of a field that may be null, the other one."""
    for choice in field.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolved(choice, schema)
    if "$ref" in field:
        definition: dict[str, Any] = schema["$defs"][field["$ref"].rpartition("/")[2]]
        return definition
    return field


def _kind(field: dict[str, Any], schema: dict[str, Any]) -> str:
    choices = _resolved(field.get("items", {}), schema).get("enum")
    if choices:
        return "list of " + ", ".join(f"`{value}`" for value in choices)
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    least, above, most = field.get("minimum"), field.get("exclusiveMinimum"), field.get("maximum")
    bounds = [f"{least:g} or more" if least is not None else "", f"above {above:g}" if above is not None else ""]
    bounds.append(f"at most {most:.10g}" if most is not None else "")
    first = field["type"][0] if isinstance(field["type"], list) else field["type"]
    kind = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "array": "list",
        "boolean": "`true` or `false`",
    }[first]
    kind = {"date-time": "date and time"}.get(field.get("format", ""), kind)
    return ", ".join([kind, *filter(None, bounds)])


def _default(name: str, field: dict[str, Any], parent: dict[str, Any]) -> str:
    if name in parent.get("required", ()):
        return "required"
    value = field.get("default")
    if value is None:
        return "–"
    if isinstance(value, bool):
        return f"`{value}`".lower()
    return f"`{value:.10g}`" if isinstance(value, float) else f"`{value}`"


# --- operation


def _log_fields(old: str) -> str:
    exchange = Exchange("id")
    exchange.client, exchange.reason, exchange.cause, exchange.usage = "client", "reason", "cause", Usage(1, 1)
    names = list(log_fields(exchange))
    rows = [(f"`{name}`",) for name in ("time", "level", "logger", "message", *names)]
    return table(("field", "what it holds"), rows, old, by_hand=1)


def _reasons(old: str) -> str:
    rows = [(f"`{row.reason}`", str(row.status)) for row in (*errors.CONTRACT, *errors.FURTHER) if _is_logged(row)]
    return table(("`reason`", "status", "what it means", "what to do"), rows, old, by_hand=2)


def _is_logged(row: errors.ErrorRow) -> bool:
    """The words for a broken stream come without a refusal: the log has an ending instead."""
    return row not in (errors.CUT, errors.SILENT)


def _endings(old: str) -> str:
    rows = [(f"`{ending}`",) for ending in Ending]
    return table(("`ending`", "what it means", "what to do"), rows, old, by_hand=2)


def _causes(old: str) -> str:
    rows = [(f"`{cause}`",) for cause in causes(ROOT / "gateway")]
    return table(("`cause`", "what it means", "what to do"), rows, old, by_hand=2)


def _metrics(old: str) -> str:
    code = "".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("gateway/**/*.py")))
    rows = [(f"`{name}`",) for name in sorted(set(re.findall(r'"(gguf_\w+)"', code)))]
    return table(("metric", "kind", "labels", "what it counts"), rows, old, by_hand=3)


def _alerts(_old: str) -> str:
    """What `docs/operate/alert-rules.yaml` holds, a row for each alert."""
    (group,) = yaml.safe_load((ROOT / "docs" / "operate" / "alert-rules.yaml").read_text(encoding="utf-8"))["groups"]
    cells = [(one["alert"], one["expr"].replace("|", "\\|"), one.get("for", "0s")) for one in group["rules"]]
    summaries = [one["annotations"]["summary"] for one in group["rules"]]
    rows = [(f"`{alert}`", f"`{expr}`", wait, text) for (alert, expr, wait), text in zip(cells, summaries, strict=True)]
    return table(("alert", "expression", "for", "what it means"), rows, "")


# --- the rest


def _folders(*patterns: str) -> Callable[[str], str]:
    """Folders with their purposes, which are their docstrings'."""

    def block(_old: str) -> str:
        rows = []
        for path in sorted(path for pattern in patterns for path in ROOT.glob(f"{pattern}/__init__.py")):
            purpose = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            rows.append((f"`{path.parent.relative_to(ROOT)}/`", " ".join(purpose.split("\n\n")[0].split())))
        return table(("folder", "purpose"), rows, "")

    return block


_MIRRORS = re.compile(r"^Mirrors .+?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
_SOURCE = re.compile(r"[\w-]+/[\w./-]+?(?:\.(?:cpp|hpp|h)|/(?=[ .,]))")


def mirrored() -> dict[str, list[str]]:
    """By module of the mock, the source files of llama.cpp that its docstring says it mirrors."""
    sources = {}
    for path in sorted(ROOT.glob("mockserver/**/*.py")):
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        paragraph = _MIRRORS.search(said)
        if paragraph is not None:
            sources[str(path.relative_to(ROOT))] = sorted(set(_SOURCE.findall(paragraph[0])))
    return sources


def _mirrors(_old: str) -> str:
    """A row for each source file of llama.cpp, with all modules that mirror it."""
    modules = defaultdict[str, list[str]](list)
    for module, sources in mirrored().items():
        for source in sources:
            modules[source].append(f"`{module}`")
    rows = [(f"`{source}`", ", ".join(names)) for source, names in sorted(modules.items())]
    return table(("llama.cpp", "the mock"), rows, "")


def _dependencies(old: str) -> str:
    wanted = _setup()["options"]["install_requires"].strip().splitlines()
    rows = [(f"`{line.split(';')[0].strip()}`",) for line in wanted]
    return table(("library", "field", "why it", "not taken"), rows, old, by_hand=3)


def _setup() -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def _mock_options(old: str) -> str:
    rows = []
    for option in mock_cli.main.params:
        names = [*option.opts, *option.secondary_opts]
        variable = f" (`{option.envvar}`)" if option.envvar else ""
        rows.append((", ".join(f"`{name}`" for name in names), f"{getattr(option, 'help', '')}{variable}"))
    return table(("option", "what it does"), rows, old)


def _states(old: str) -> str:
    return table(("state", "what a client of the mock meets"), [(f"`{state}`",) for state in State], old, by_hand=1)


def _faults(old: str) -> str:
    rows = [(f"`{kind}`", ", ".join(f"`{name}`" for name in sorted(own)) or "–") for kind, own in KINDS.items()]
    return table(("kind", "its fields", "what a client meets"), rows, old, by_hand=1)


# --- the team


def _scopes(old: str) -> str:
    told = {ALL_SCOPES: ["Everything."], **summaries()}
    rows = [(f"`{scope}`", " ".join(told[scope])) for scope in SCOPES]
    return table(("scope", "what a token may do with it"), rows, old)


BLOCKS: dict[str, Callable[[str], str]] = {
    "refusals": _refusals,
    "contract": _contract(errors.CONTRACT),
    "further": _contract(errors.FURTHER),
    "endpoints": _endpoints,
    "never": _never,
    "headers-up": _headers_up,
    "headers-down": _headers_down,
    "headers-lists": _headers_lists,
    "headers-always": _headers_always,
    "settings": _settings,
    "log-fields": _log_fields,
    "reasons": _reasons,
    "endings": _endings,
    "causes": _causes,
    "metrics": _metrics,
    "alerts": _alerts,
    "folders": _folders("gateway/**", "mockserver/**"),
    "tests-and-tools": _folders("tests", "tests/*", "tests/harness/*", "scripts/*"),
    "dependencies": _dependencies,
    "mock-options": _mock_options,
    "states": _states,
    "faults": _faults,
    "mirrors": _mirrors,
    "admin-api": lambda _old: operations(),
    "scopes": _scopes,
}


def main() -> None:
    """Write every part of every page anew."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(rewritten(text), encoding="utf-8")


if __name__ == "__main__":
    main()
