"""The files beside the code that are made from the settings: the example and the schema."""

import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pydantic
import pytest
import trustme
import yaml

from gateway.config.server_settings import Server
from gateway.config.settings import Settings, json_schema, parse

CONFIG = Path(__file__).parents[4] / "config"


def _defaults(section: object, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(section):  # type: ignore[arg-type]  # a dataclass
        value = getattr(section, field.name)
        found |= _defaults(value, f"{prefix}{field.name}.") if is_dataclass(value) else {prefix + field.name: value}
    return found


def _leaves(value: object, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            path: leaf for name, inner in value.items() for path, leaf in _leaves(inner, f"{prefix}{name}.").items()
        }
    return {prefix[:-1]: value}


def test_the_example_names_every_server_setting_with_its_default() -> None:
    text = (CONFIG / "gateway.example.yaml").read_text()
    written = _leaves(yaml.safe_load(text)["server"])
    defaults = {**_defaults(Server()), "host": "127.0.0.1"}  # which is a list of one
    without = {name for name, default in defaults.items() if default is None}
    assert {name: tuple(value) if isinstance(value, list) else value for name, value in written.items()} == {
        name: default for name, default in defaults.items() if name not in without
    }
    assert all(re.search(rf"\n +# {name.rpartition('.')[2]}: ", text) for name in without)


def test_the_example_names_every_other_setting_and_loads(tmp_path: Path) -> None:
    text = (CONFIG / "gateway.example.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=gateway.schema.json\n")
    assert re.search(r"^# database: sqlite\+aiosqlite:///", text, re.MULTILINE)
    optional = re.sub(r"# (upstream_key|ping|ca_file|endpoints):", r"\1:", text)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    optional = optional.replace("/etc/ssl/private-ca.pem", str(tmp_path / "ca.pem"))
    read = parse(optional, "example", {"LLAMA_API_KEY": "x"})
    entry = read.deployments["demo"]
    assert entry.model_fields_set == set(type(entry).model_fields)
    assert entry.timeouts.model_fields_set == set(type(entry.timeouts).model_fields)
    assert entry.limits.model_fields_set == set(type(entry.limits).model_fields)
    keys = read.accounts["acme"].keys
    assert set().union(*(key.model_fields_set for key in keys)) == set(type(keys[0]).model_fields)
    assert set(Settings.model_fields) - read.model_fields_set == {"database"}
    parse(text, "example", {})


def test_every_setting_of_the_schema_is_described() -> None:
    models = [json_schema(), *json_schema()["$defs"].values()]  # type: ignore[attr-defined]
    bare = [
        f"{model['title']}.{name}"
        for model in models
        for name, field in model.get("properties", {}).items()
        if "description" not in field and "$ref" not in field
    ]
    assert bare == []


@pytest.mark.skipif(
    tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 13), reason="it says less of a settings' class"
)
def test_the_checked_in_schema_is_what_the_command_prints() -> None:
    """If this fails: `gguf-gateway schema > config/gateway.schema.json`."""
    assert json.loads((CONFIG / "gateway.schema.json").read_text()) == json_schema()
