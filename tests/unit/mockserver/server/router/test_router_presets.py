"""A router's models: presets of a file, files of a directory."""

from pathlib import Path

import pytest

from mockserver import MockLlamaServer
from mockserver.core.options import Options
from mockserver.server.router.model_presets import known
from tests.harness.sockets.rawhttp import ask
from tests.unit.mockserver.server.router.routers import listed, listening, router, use, written

PRESETS = """
version = 1
[*]
temp = 0.5 ; for all

[small]
hf-repo = org/story
c = 128
alias = tiny, mini
tags = cpu
[Large:q4_k_m]
LLAMA_ARG_CTX_SIZE = 8192 # a comment
load-on-startup = true
"""


async def test_the_presets_of_a_file_are_models(tmp_path: Path) -> None:
    async with router(models_preset=written(tmp_path, PRESETS)) as mock:
        models = await listed(mock)
        assert sorted(models) == ["Large:Q4_K_M", "a", "b", "c", "small"]
        small = models["small"]
        assert (small["aliases"], small["tags"], small["source"]) == (["mini", "tiny"], ["cpu"], "preset")
        assert small["status"]["preset"] == "[small]\ntemp = 0.5\nhf-repo = org/story\nctx-size = 128\n\n"
        assert small["status"]["args"][-6:] == ["--temp", "0.5", "--hf-repo", "org/story", "--ctx-size", "128"]
        assert not small["can_remove"]
        props = (await ask(mock.url, "GET", "/props?model=tiny")).json()
        assert props["default_generation_settings"]["n_ctx"] == 128
        assert props["default_generation_settings"]["params"]["temperature"] == 0.5
        assert props["model_alias"] == "small"
        assert models["Large:Q4_K_M"]["status"]["value"] in ("loading", "loaded")  # from the start


async def test_a_reload_follows_the_file_and_unloads_what_was_changed(tmp_path: Path) -> None:
    async with router(models_preset=written(tmp_path, "[x]\nc = 64\n[y]\nc = 64\n[z]\nc = 64\n")) as mock:
        for model in ("x", "y", "z"):
            await use(mock, model)
        written(tmp_path, "[x]\nc = 64\n[y]\nc = 128\n[new]\n")
        assert (await listed(mock))["y"]["meta"]["n_ctx"] == 64
        async with listening(mock) as heard:
            models = await listed(mock, "?reload=1")
            assert {name: model["status"]["value"] for name, model in models.items()} == {
                **dict.fromkeys(("a", "b", "c", "new", "y"), "unloaded"),
                "x": "loaded",
            }
            assert heard[-1] == {"model": "*", "event": "models_reload"}
        written(tmp_path, "what?")
        refused = await ask(mock.url, "GET", "/models?reload=1")
        assert refused.status == 500
        assert "models.ini:1: this is neither [name] nor key = value: 'what?'" in refused.json()["error"]["message"]
        assert "x" in await listed(mock)


async def test_a_preset_hides_the_model_of_the_cache_that_it_uses(tmp_path: Path) -> None:
    cache = ("org/one:Q8_0", "org/two:F32", "org/two:Q8_0")
    text = "[mine]\nhf-repo = org/two\ndedup-cache-models = 1\n"
    async with MockLlamaServer(
        router=True, router_models=cache, models_preset=written(tmp_path, text), load_seconds=0
    ) as mock:
        assert sorted(await listed(mock)) == ["mine", "org/one:Q8_0", "org/two:Q8_0"]
        assert (await use(mock, "org/two:F32"))["model"] == "org/two:F32"


async def test_the_files_of_a_directory_are_models(tmp_path: Path) -> None:
    (tmp_path / "sharded").mkdir()
    for name in (
        "one.gguf",
        "mmproj-one.gguf",
        "notes.txt",
        "sharded/x-00001-of-00002.gguf",
        "sharded/x-00002-of.gguf",
    ):
        (tmp_path / name).touch()
    async with router(models_dir=str(tmp_path)) as mock:
        models = await listed(mock)
        assert {name: model["source"] for name, model in models.items()} == {
            **dict.fromkeys(("a", "b", "c"), "cache"),
            **dict.fromkeys(("one", "sharded"), "models_dir"),
        }
        assert (await ask(mock.url, "GET", "/props?model=sharded")).json()["model_path"].endswith("00001-of-00002.gguf")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"models_preset": "no.ini"}, "no.ini: No such file or directory."),
        ({"models_dir": "no-such-place"}, "--models-dir: 'no-such-place' does not exist or is not a directory."),
    ],
)
def test_presets_that_cannot_be_read_are_one_sentence(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        router(**options)


def test_a_preset_is_checked_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the model 'x': ctx-size: invalid literal"):
        router(models_preset=written(tmp_path, "[x]\nctx-size = much\n"))
    many = "".join(f"[{name}]\nload-on-startup = 1\n" for name in "xyz")
    with pytest.raises(ValueError, match=r"load on startup \(3\) exceeds models_max \(2\)"):
        router(models_max=2, models_preset=written(tmp_path, many))


def test_a_preset_may_leave_context_and_slots_to_the_server(tmp_path: Path) -> None:
    presets = written(tmp_path, "[x]\nctx-size = 0\nparallel = -1\n")
    options = Options(router=True, models_preset=presets)
    own = known(options)["x"].server_options(options)
    assert (own.context, own.slots) == (Options().context, Options().slots)
