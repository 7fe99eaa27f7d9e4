"""The tables of the admin API's reference, from its own description."""

from collections import defaultdict
from typing import Any

from gateway.server.admin_api.openapi import description


def operations() -> str:
    """A heading and a table for each tag: what can be asked for, by which scope, with which fields, and the answer."""
    schemas = description()["components"]["schemas"]
    rows = defaultdict[str, list[str]](list)
    for path, methods in description()["paths"].items():
        for method, said in methods.items():
            cells = (
                f"`{method.upper()} {path}`",
                said["summary"].rstrip("."),
                f"`{said['x-required-scope']}`",
                _asked(said, schemas) or "–",
                _answered(said),
            )
            rows[said["tags"][0]].append("| " + " | ".join(cells) + " |\n")
    head = "| request | what it does | scope | fields | answer |\n| --- | --- | --- | --- | --- |\n"
    return "".join(f"\n### {tag.capitalize()}\n\n{head}{''.join(lines)}" for tag, lines in rows.items()) + "\n"


def summaries() -> dict[str, list[str]]:
    """What can be asked for by each scope, in sentences."""
    found = defaultdict[str, list[str]](list)
    for methods in description()["paths"].values():
        for said in methods.values():
            found[said["x-required-scope"]].append(said["summary"].rstrip(".") + ".")
    return found


def _asked(said: dict[str, Any], schemas: dict[str, Any]) -> str:
    """The fields of the body or the query; those in bold must be there."""
    if "requestBody" not in said:
        return ", ".join(f"`{one['name']}`" for one in said["parameters"] if one["in"] == "query")
    schema = schemas[_name(said["requestBody"]["content"]["application/json"]["schema"])]
    needed = schema.get("required", ())
    return ", ".join(f"**`{name}`**" if name in needed else f"`{name}`" for name in schema["properties"])


def _answered(said: dict[str, Any]) -> str:
    status = next(status for status in said["responses"] if status.startswith("2"))
    [content] = said["responses"][status].get("content", {"": None}).items()
    kind, schema = content
    if schema is None:
        return str(status)
    if kind != "application/json":
        return f"{status} `{kind}`"
    return f"{status} `{_shown(_name(schema['schema']))}`"


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _shown(name: str) -> str:
    """`Page[Key]` for what pydantic calls `Page_Key_`."""
    return f"Page[{name[5:-1]}]" if name.startswith("Page_") else name.removesuffix("-Output")
