"""Tokens, adapters, slots, prompts, embeddings and reranking asked oddly: what a real llama-server b11434 answered.

Recorded with SmolLM2-135M-Instruct and the options below.
"""

import asyncio
from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask

NO_PROMPT = (
    '"prompt" elements must be a string, a list of tokens, a JSON object containing a prompt string, '
    "or a list of mixed strings & tokens."
)
NO_MEDIA = "Multimodal data provided, but model does not support multimodal requests."
NO_SLOTS = "This server does not support slots action. Start it with `--slot-save-path`"
NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"
NO_RERANKING = "This server does not support reranking. Start it with `--reranking`"
HINT = "input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
TYPE = "[json.exception.type_error.302] type must be"
RANGE = "vector::_M_range_check: __n (which is"
SIZE = "this->size() (which is 49152)"

OPTIONS: dict[str, Any] = {
    "ready": {},
    "embedding": {"embeddings": True},
    "reranking": {"reranking": True},
}
REFUSED: dict[str, list[tuple[str, Any, int, str]]] = {
    "ready": [
        ("/tokenize", {"content": [99999999], "with_pieces": True}, 500, f"{RANGE} 99999999) >= {SIZE}"),
        ("/tokenize", {"content": [None]}, 400, f"{TYPE} number, but is null"),
        ("/tokenize", {"content": None}, 400, f"{TYPE} string, but is null"),
        ("/tokenize", {"content": {}}, 400, f"{TYPE} string, but is object"),
        ("/tokenize", {"content": 5}, 400, f"{TYPE} string, but is number"),
        ("/detokenize", {"tokens": [99999999]}, 500, f"{RANGE} 99999999) >= {SIZE}"),
        ("/detokenize", {"tokens": [-1]}, 500, f"{RANGE} 18446744073709551615) >= {SIZE}"),
        ("/detokenize", {"tokens": [1e300]}, 500, f"{RANGE} 18446744071562067968) >= {SIZE}"),
        ("/detokenize", {"tokens": ["a"]}, 400, f"{TYPE} number, but is string"),
        ("/detokenize", {"tokens": [[1]]}, 400, f"{TYPE} number, but is array"),
        ("/detokenize", {"tokens": None}, 400, f"{TYPE} array, but is null"),
        ("/detokenize", {"tokens": "x"}, 400, f"{TYPE} array, but is string"),
        ("/detokenize", {"tokens": {}}, 400, f"{TYPE} array, but is object"),
        ("/lora-adapters", {}, 400, "Request body must be an array"),
        ("/lora-adapters", "x", 400, "Request body must be an array"),
        ("/slots/0?action=erase", {}, 501, NO_SLOTS),
        ("/slots/x", {}, 501, NO_SLOTS),
        ("/v1/embeddings", {"input": "x"}, 501, NO_EMBEDDINGS),
        ("/embedding", 5, 501, NO_EMBEDDINGS),
        ("/v1/rerank", {}, 501, NO_RERANKING),
        ("/v1/systemone", {}, 501, "This model is not a decision model"),
        ("/completion", {"prompt": [], "n_predict": 2}, 400, '"prompt" must not be empty'),
        ("/completion", {"prompt": [99999999], "n_predict": 2}, 400, "Prompt contains invalid tokens"),
        ("/completion", {"prompt": [1, None], "n_predict": 2}, 400, NO_PROMPT),
        ("/completion", {"prompt": [1, "a", None], "n_predict": 2}, 400, f"{TYPE} number, but is null"),
        ("/completion", {"prompt": [1, 1.5], "n_predict": 2}, 400, NO_PROMPT),
        ("/completion", {"prompt": None}, 400, NO_PROMPT),
        ("/completion", {"prompt": 5}, 400, NO_PROMPT),
        ("/completion", {"prompt": {"a": 1}}, 400, NO_PROMPT),
        ("/completion", {"prompt": {"prompt_string": 5}}, 400, f"{TYPE} string, but is number"),
        ("/completion", {"prompt": {"prompt_string": "x <__media__>", "multimodal_data": ["AAAA"]}}, 400, NO_MEDIA),
    ],
    "embedding": [
        ("/v1/embeddings", {"content": None, "input": None}, 400, NO_PROMPT),
        ("/v1/embeddings", {"input": "a", "encoding_format": None}, 400, f"{TYPE} string, but is null"),
        ("/v1/embeddings", {"input": "a", "encoding_format": 5}, 400, f"{TYPE} string, but is number"),
        (
            "/v1/embeddings",
            {"input": "a", "encoding_format": "nope"},
            400,
            "The format to return the embeddings in. Can be either float or base64",
        ),
        (
            "/embedding",
            {"content": "a", "encoding_format": "nope"},
            400,
            "The format to return the embeddings in. Can be either float or base64",
        ),
        ("/embedding", {}, 400, '"input" or "content" must be provided'),
        ("/embedding", [], 400, '"input" or "content" must be provided'),
        ("/embedding", {"input": ""}, 400, "Input content cannot be empty"),
        ("/embedding", {"input": [""]}, 400, "Input content cannot be empty"),
        ("/embedding", {"input": [[]]}, 400, "Input content cannot be empty"),
        ("/embedding", {"input": []}, 400, '"input" must not be empty'),
        ("/embedding", {"input": [1, None]}, 400, NO_PROMPT),
        ("/embedding", {"input": [None]}, 400, NO_PROMPT),
        ("/embedding", {"input": True}, 400, NO_PROMPT),
        ("/embedding", {"input": {"prompt_string": "x", "multimodal_data": []}}, 500, NO_MEDIA),
        ("/embedding", {"input": {"content": "x"}}, 400, '"content" must be an array'),
        ("/embedding", {"input": {"content": []}}, 400, "Input content cannot be empty"),
        ("/embedding", {"input": {"content": [{"type": "nope"}]}}, 400, "unsupported content[].type"),
        ("/embedding", {"input": {"content": [5]}}, 400, "unsupported content[].type"),
        (
            "/embedding",
            {"input": {"content": [{"type": "image_url", "image_url": {"url": "data:"}}]}},
            500,
            f"image {HINT}",
        ),
        ("/embedding", {"input": {"content": [{"type": "input_audio"}]}}, 500, f"audio {HINT}"),
        ("/embedding", {"input": {"content": [{"type": "video_url"}]}}, 500, f"video {HINT}"),
        ("/embedding", {"input": [99999999]}, 400, "Prompt contains invalid tokens"),
        ("/embedding", {"input": "a", "embd_normalize": "x"}, 400, f"{TYPE} number, but is string"),
        ("/embedding", {"input": "a", "embd_normalize": None}, 400, f"{TYPE} number, but is null"),
        ("/v1/rerank", {"query": "a", "documents": ["b"]}, 501, NO_RERANKING),
    ],
    "reranking": [
        ("/v1/rerank", {"query": "cat", "documents": ["a", None]}, 400, '"documents" must be a non-empty string array'),
        ("/v1/rerank", {"query": 5, "documents": ["a cat", "a dog"]}, 400, '"query" must be a string'),
        ("/v1/rerank", {"query": None, "documents": ["a cat", "a dog"]}, 400, '"query" must be a string'),
        ("/v1/rerank", {"documents": ["a cat", "a dog"]}, 400, '"query" must be provided'),
        ("/v1/rerank", [], 400, '"query" must be provided'),
        ("/v1/rerank", {"query": "cat", "documents": ["a", "b"], "top_n": -1}, 500, "vector::_M_default_append"),
    ],
}
ANSWERED: list[tuple[str, Any, Any]] = [
    (
        "/tokenize",
        {"content": "größe 你好 🎉", "with_pieces": True},
        {
            "tokens": [
                {"id": 9861, "piece": "gr"},
                {"id": 7466, "piece": "ö"},
                {"id": 34878, "piece": "ß"},
                {"id": 85, "piece": "e"},
                {"id": 216, "piece": " "},
                {"id": 18645, "piece": [228, 189]},
                {"id": 250, "piece": [160]},
                {"id": 48392, "piece": [229, 165]},
                {"id": 138, "piece": [189]},
                {"id": 15107, "piece": [32, 240, 159]},
                {"id": 232, "piece": [142]},
                {"id": 227, "piece": [137]},
            ]
        },
    ),
    (
        "/tokenize",
        {"content": "Hello world 123  4\n\n x's <|im_start|>user<|im_end|>", "add_special": True},
        {"tokens": [19556, 905, 216, 33, 34, 35, 256, 36, 1116, 1792, 506, 216, 1, 4093, 2]},
    ),
    (
        "/tokenize",
        {"content": "a<|im_start|>b", "parse_special": False},
        {"tokens": [81, 44, 108, 306, 79, 3738, 108, 46, 82]},
    ),
    (
        "/tokenize",
        {"content": "a<s>b", "parse_special": 5, "with_pieces": 1, "add_special": None},
        {"tokens": [81, 44, 99, 46, 82]},
    ),
    ("/tokenize", {"content": ["a", 15043, "b"]}, {"tokens": [81, 15043, 82]}),
    ("/tokenize", {"content": ["a", "b"]}, {"tokens": [81, 82]}),
    ("/tokenize", {"content": [1.9, True, 99999999]}, {"tokens": [1, 1, 99999999]}),
    ("/tokenize", [], {"tokens": []}),
    ("/tokenize", {}, {"tokens": []}),
    ("/tokenize", {"content": "a\x04b\U00050000"}, {"tokens": [81, 82, 234, 218, 218]}),
    ("/detokenize", {"tokens": [15043, 3186, 1, 0]}, {"content": " tears veget<|im_start|><|endoftext|>"}),
    ("/detokenize", {"tokens": [4294967297]}, {"content": "<|im_start|>"}),
    ("/detokenize", {"tokens": [True, 1.5]}, {"content": "<|im_start|><|im_start|>"}),
    ("/detokenize", {}, {"content": ""}),
    ("/detokenize", 5, {"content": ""}),
]


@pytest.mark.parametrize("mode", REFUSED)
async def test_what_is_odd_is_refused_in_its_words(mode: str) -> None:
    async with MockLlamaServer(**OPTIONS[mode]) as mock:
        for path, body, status, message in REFUSED[mode]:
            answer = await ask(mock.url, "POST", path, body)
            assert (answer.status, answer.json()["error"]["message"]) == (status, message), (path, body)


async def test_tokens_and_texts_are_its_own() -> None:
    async with MockLlamaServer() as mock:
        for path, body, expected in ANSWERED:
            answer = await ask(mock.url, "POST", path, body)
            assert (answer.status, answer.json()) == (200, expected), (path, body)


async def test_an_empty_prompt_is_an_empty_answer() -> None:
    async with MockLlamaServer() as mock:
        answer = (await ask(mock.url, "POST", "/completion", {"prompt": ""})).json()
        assert (answer["content"], answer["tokens_evaluated"], answer["stop_type"]) == ("", 0, "none")


async def test_a_prompt_of_tokens_is_shown_as_its_text() -> None:
    async with MockLlamaServer() as mock:
        answer = (await ask(mock.url, "POST", "/completion", {"prompt": [1, 15043, 3186], "n_predict": 1})).json()
        assert answer["prompt"] == "<|im_start|> tears veget"


@pytest.mark.parametrize(("norm", "length"), [(1, sum), (2, lambda values: sum(v * v for v in values)), (0, max)])
async def test_a_vector_is_divided_by_the_norm_that_is_asked_for(norm: int, length: Any) -> None:
    async with MockLlamaServer(embeddings=True) as mock:
        body = {"input": "a few words", "embd_normalize": norm}
        ((vector,),) = [entry["embedding"] for entry in (await ask(mock.url, "POST", "/embedding", body)).json()]
        assert length(map(abs, vector)) == pytest.approx(32760 if norm == 0 else 1)


async def test_a_vector_of_a_reranker_is_as_long_as_any_other() -> None:
    """The score comes first. What llama-server tells behind it is what its memory happens to hold there."""
    async with MockLlamaServer(reranking=True) as mock:
        body = {"input": "a cat", "embd_normalize": -1}
        (entry,) = (await ask(mock.url, "POST", "/v1/embeddings", body)).json()["data"]
        score, *behind = entry["embedding"]
        (model,) = (await ask(mock.url, "GET", "/v1/models")).json()["data"]
        assert score != 0
        assert behind == [0.0] * (model["meta"]["n_embd"] - 1)


async def test_no_two_documents_rank_alike_and_the_best_comes_first() -> None:
    async with MockLlamaServer(reranking=True) as mock:
        body = {"query": "cat", "documents": ["a", "b", "a cat", "c"], "top_n": 99}
        results = (await ask(mock.url, "POST", "/v1/rerank", body)).json()["results"]
        scores = [result["relevance_score"] for result in results]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) == 4
        assert [result["index"] for result in results] == [2, 0, 1, 3]


async def test_a_pair_without_a_token_ends_the_connection_without_a_word() -> None:
    """Where the vocabulary adds no token of its own. llama-server fails an assertion, and is gone."""
    async with MockLlamaServer(reranking=True) as mock:
        with pytest.raises(asyncio.IncompleteReadError):
            await ask(mock.url, "POST", "/v1/rerank", {"query": "", "documents": ["a", ""]})
        assert (await ask(mock.url, "GET", "/health")).status == 200
