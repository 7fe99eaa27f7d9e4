"""Whoever follows a release of llama.cpp finds the module of the mock that has to follow."""

import pytest

from tests.docs.docs_blocks import ROOT, mirrored

FOLLOWING = ("mockserver/engine", "mockserver/api", "mockserver/server")
# What llama.cpp has nothing of: the pretended model, its texts and its time, and the mock as an object.
OWN = (
    *("mockserver/engine/model/", "mockserver/engine/grammar/", "mockserver/engine/scheduling/"),
    *("mockserver/engine/answer_plan.py", "mockserver/engine/canned_answers.py", "mockserver/engine/token_timing.py"),
    *("mockserver/server/mock_server.py", "mockserver/server/option_keywords.py", "mockserver/server/awaited_mock.py"),
    *("mockserver/server/background_thread.py", "mockserver/server/faults/"),
)


def test_each_module_names_the_file_that_it_mirrors_or_is_the_mocks_own() -> None:
    modules = {
        str(path.relative_to(ROOT))
        for folder in FOLLOWING
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    silent = modules - set(mirrored())
    assert not [module for module in sorted(silent) if not module.startswith(OWN)]


@pytest.mark.parametrize("module", sorted(mirrored()))
def test_what_it_mirrors_is_a_path_in_llama_cpp(module: str) -> None:
    sources = mirrored()[module]
    assert sources
    for source in sources:
        assert source.startswith(("common/", "src/", "tools/server/", "tools/mtmd/", "vendor/")), source
