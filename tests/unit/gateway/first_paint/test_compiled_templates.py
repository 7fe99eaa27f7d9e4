"""Templates are compiled with the module of their page, by the thread that imports it: it takes up to 40 ms."""

import subprocess
import sys
from pathlib import Path

import pytest

import gateway.server.pages

# Imports the pages as the first looks at them do, and says what could be drawn then without compiling.
_SCRIPT = """
from importlib import import_module
from gateway.server.pages.routes import ROUTES

for _method, _path, name in ROUTES:
    import_module("gateway.server.pages." + name.rpartition(".")[0])
layout = import_module("gateway.server.pages.layout")
print(*(one.name for one in layout._environment.cache.values()))
"""


@pytest.mark.slow
def test_no_page_is_compiled_when_it_is_drawn() -> None:
    said = subprocess.run((sys.executable, "-c", _SCRIPT), capture_output=True, text=True, check=True).stdout
    ours = {path.name for path in Path(gateway.server.pages.__file__).with_name("templates").iterdir()}
    assert set(said.split()) >= ours | {"status_parts.html", "signs.html"}
