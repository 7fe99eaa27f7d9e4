"""LoRA adapters: no weights, but the protocol: what is loaded, its scales for all requests and for one."""

from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask

NOT_A_LIST = "Field 'lora': Error: 'lora' must be an array of objects with 'id' and 'scale' fields"
LOADED: dict[str, Any] = {"lora": ("a.gguf,b.gguf",), "lora_scaled": ("c.gguf:0.5",)}


def adapter(number: int, path: str, scale: float) -> dict[str, Any]:
    return {"id": number, "path": path, "scale": scale, "task_name": "", "prompt_prefix": ""}


async def complete(mock: MockLlamaServer, **body: Any) -> Any:
    return (await ask(mock.url, "POST", "/completion", {"prompt": "Once upon a time", "n_predict": 3} | body)).json()


async def test_what_is_loaded_is_listed_with_its_scale() -> None:
    async with MockLlamaServer(**LOADED) as mock:
        listed = (await ask(mock.url, "GET", "/lora-adapters")).json()
        assert listed == [adapter(0, "a.gguf", 1.0), adapter(1, "b.gguf", 1.0), adapter(2, "c.gguf", 0.5)]


async def test_new_scales_are_those_named_and_nothing_for_the_others() -> None:
    async with MockLlamaServer(**LOADED) as mock:
        wanted = [{"id": 2, "scale": 0.1}, {"id": 0}, {"id": 7, "scale": 1}, {"id": "1", "scale": 1}, 3]
        assert (await ask(mock.url, "POST", "/lora-adapters", wanted)).json() == {"success": True}
        listed = (await ask(mock.url, "GET", "/lora-adapters")).json()
        assert [entry["scale"] for entry in listed] == [0.0, 0.0, 0.10000000149011612]
        refused = (await ask(mock.url, "POST", "/lora-adapters", {"id": 0})).json()
        assert refused["error"]["message"] == "Request body must be an array"


async def test_a_request_has_scales_of_its_own_and_shows_them() -> None:
    async with MockLlamaServer(**LOADED) as mock:
        answer = await complete(mock, lora=[{"id": 1, "scale": 0.5}, {"id": 0, "scale": 1}])
        assert answer["generation_settings"]["lora"] == [{"id": 0, "scale": 1.0}, {"id": 1, "scale": 0.5}]
        assert (await complete(mock))["generation_settings"]["lora"] == []
        listed = (await ask(mock.url, "GET", "/lora-adapters")).json()
        assert [entry["scale"] for entry in listed] == [1.0, 1.0, 0.5]


@pytest.mark.parametrize("path", ["/completion", "/v1/completions", "/v1/chat/completions"])
async def test_scales_that_are_no_list_are_refused(path: str) -> None:
    async with MockLlamaServer(**LOADED) as mock:
        answer = await ask(mock.url, "POST", path, {"prompt": "x", "messages": [], "lora": {"id": 0}})
        assert answer.status == 400
        assert answer.json()["error"]["message"] == NOT_A_LIST


async def test_a_prompt_is_read_anew_for_other_adapters() -> None:
    async with MockLlamaServer(slots=1, **LOADED) as mock:
        cached = list[int]()
        for scales in ([], [], [{"id": 0, "scale": 1}], [{"id": 0, "scale": 1}], [{"id": 0, "scale": 0.5}], []):
            cached.append((await complete(mock, lora=scales))["timings"]["cache_n"])
        assert [count > 0 for count in cached] == [False, True, False, True, False, True]


@pytest.mark.parametrize("wrong", ["c.gguf", "c.gguf:much"])
def test_an_adapter_without_a_scale_is_one_sentence(wrong: str) -> None:
    with pytest.raises(ValueError, match="--lora-scaled is PATH:SCALE"):
        MockLlamaServer(lora_scaled=(wrong,))
