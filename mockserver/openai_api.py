"""The OpenAI endpoints: chat completions and text completions, plain and streamed."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from mockserver import params, tokenizer
from mockserver.answering import MACHINE, answer, body_of, data_event, json_answer
from mockserver.chat import messages_of, render
from mockserver.errors import ApiError
from mockserver.generation import Final, Machine, Piece, Progress, Task
from mockserver.jsontext import type_error
from mockserver.settings import BUILD_INFO

_DONE = b"data: [DONE]\n\n"


def usage(final: Final) -> dict[str, Any]:
    """The `usage` object of the OpenAI endpoints."""
    prompt, completion = len(final.task.prompt), final.completion_tokens
    return {
        "completion_tokens": completion,
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": final.timings.cache_n},
    }


def _finish(final: Final) -> str:
    return "length" if final.stop_type == "limit" else "stop"


class ChatShape:
    """`chat.completion` and its chunks."""

    def __init__(self, machine: Machine, options: params.Params, body: dict[str, Any]) -> None:
        self._id, self._created = machine.ids.new("chatcmpl-"), machine.clock.unix()
        self._model = machine.settings.model_name
        self._timed = bool(options.shown["timings_per_token"])
        stream_options = body.get("stream_options")
        self._with_usage = isinstance(stream_options, dict) and stream_options.get("include_usage") is True
        self._spoken: set[int] = set()

    def plain(self, finals: Sequence[Final]) -> Any:
        """One object with a choice per task; usage and timings are those of the first."""
        choices = [
            {
                "finish_reason": _finish(final),
                "index": final.task.index,
                "message": {"role": "assistant", "content": final.text},
            }
            for final in finals
        ]
        return {
            "choices": choices,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": BUILD_INFO,
            "object": "chat.completion",
            "usage": usage(finals[0]),
            "id": self._id,
            "timings": finals[0].timings.as_json(),
        }

    def progress(self, progress: Progress) -> bytes:
        """A chunk that carries the role again, and how far the prompt is."""
        chunk = self._role(progress.task.index)
        if self._timed:
            chunk["timings"] = progress.timings.as_json()
        chunk["prompt_progress"] = {
            "total": len(progress.task.prompt),
            "cache": progress.timings.cache_n,
            "processed": progress.processed,
            "time_ms": int(progress.timings.prompt_ms),
        }
        return data_event(chunk)

    def piece(self, piece: Piece) -> bytes:
        """A content delta; the first of a choice comes with its role chunk, in one write."""
        index = piece.task.index
        first = b"" if index in self._spoken else data_event(self._role(index))
        self._spoken.add(index)
        chunk = self._chunk([self._choice(index, {"content": piece.text})])
        if self._timed:
            chunk["timings"] = piece.timings.as_json()
        return first + data_event(chunk)

    def final(self, final: Final) -> bytes:
        """The finish reason, then the usage if asked for; the timings go with the last of them."""
        last = self._chunk([self._choice(final.task.index, {}, _finish(final))])
        before = b""
        if self._with_usage:
            before = data_event(last)
            last = self._chunk([]) | {"usage": usage(final)}
        return before + data_event(last | {"timings": final.timings.as_json()})

    def end(self) -> bytes:
        """OpenAI's end mark."""
        return _DONE

    def _role(self, index: int) -> dict[str, Any]:
        return self._chunk([self._choice(index, {"role": "assistant", "content": None})])

    def _choice(self, index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"finish_reason": finish, "index": index, "delta": delta}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "choices": choices,
            "created": self._created,
            "id": self._id,
            "model": self._model,
            "system_fingerprint": BUILD_INFO,
            "object": "chat.completion.chunk",
        }


class TextShape:
    """`text_completion` and its chunks."""

    def __init__(self, machine: Machine, options: params.Params) -> None:
        self._id, self._created = machine.ids.new("chatcmpl-"), machine.clock.unix()
        self._model = machine.settings.model_name
        self._timed = bool(options.shown["timings_per_token"])

    def plain(self, finals: Sequence[Final]) -> Any:
        """One object with a choice per prompt."""
        choices = [self._choice(final.task.index, final.text, _finish(final)) for final in finals]
        return self._object(choices, finals[0])

    def progress(self, progress: Progress) -> bytes:
        """Nothing: this endpoint reports no progress."""
        return b""

    def piece(self, piece: Piece) -> bytes:
        """One chunk of text."""
        chunk = self._object([self._choice(piece.task.index, piece.text)])
        if self._timed:
            chunk["timings"] = piece.timings.as_json()
        return data_event(chunk)

    def final(self, final: Final) -> bytes:
        """An empty chunk with the finish reason; the usage is always there."""
        return data_event(self._object([self._choice(final.task.index, "", _finish(final))], final))

    def end(self) -> bytes:
        """OpenAI's end mark."""
        return _DONE

    def _choice(self, index: int, text: str, finish: str | None = None) -> dict[str, Any]:
        return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}

    def _object(self, choices: list[dict[str, Any]], final: Final | None = None) -> dict[str, Any]:
        return {
            "choices": choices,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": BUILD_INFO,
            "object": "text_completion",
            **({"usage": usage(final)} if final else {}),
            "id": self._id,
            **({"timings": final.timings.as_json()} if final else {}),
        }


def chat_prompt(body: dict[str, Any]) -> list[int]:
    """Tokens of a conversation after the template."""
    return tokenizer.encode(render(messages_of(body)), add_bos=True)


def _prompts(value: Any) -> list[list[int]]:
    """The prompts of a completion request: text, tokens, both mixed, or a list of those."""
    if isinstance(value, str):
        return [tokenizer.encode(value, add_bos=True)]
    if isinstance(value, list) and value and all(isinstance(item, int) for item in value):
        return [value]
    if isinstance(value, list) and value:
        return [prompt for item in value for prompt in _prompts(item)]
    raise ApiError(400, '"prompt" elements must be a string, a list of tokens, or a list of mixed strings')


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """`POST /v1/chat/completions`."""
    machine, body = request.app[MACHINE], await body_of(request)
    prompt = chat_prompt(body)
    options = params.read(body, machine.settings)
    tasks = [Task(prompt, options, index) for index in range(options.choices)]
    stream = params.flag(body, "stream")
    return await answer(request, tasks, ChatShape(machine, options, body), stream=stream)


async def completions(request: web.Request) -> web.StreamResponse:
    """`POST /v1/completions`."""
    machine, body = request.app[MACHINE], await body_of(request)
    if not isinstance(body, dict):
        raise ApiError(400, type_error("object", body))
    if "prompt" not in body:
        raise ApiError(400, "[json.exception.out_of_range.403] key 'prompt' not found")
    options = params.read(body, machine.settings)
    tasks = [Task(prompt, options, index) for index, prompt in enumerate(_prompts(body["prompt"]))]
    return await answer(request, tasks, TextShape(machine, options), stream=params.flag(body, "stream"))


async def input_tokens(request: web.Request) -> web.Response:
    """`POST /v1/chat/completions/input_tokens`."""
    prompt = chat_prompt(await body_of(request))
    return json_answer({"input_tokens": len(prompt), "object": "response.input_tokens"})


async def models(request: web.Request) -> web.Response:
    """`GET /v1/models`: Ollama's list and OpenAI's in one object."""
    machine = request.app[MACHINE]
    settings, name = machine.settings, machine.settings.model_name
    details: dict[str, Any] = {
        "parent_model": "",
        "format": "gguf",
        "family": "",
        "families": [""],
        "parameter_size": "",
        "quantization_level": "",
    }
    entry: dict[str, Any] = {"name": name, "model": name, "modified_at": "", "size": "", "digest": "", "type": "model"}
    entry |= {"description": "", "tags": [""], "capabilities": ["completion"], "parameters": ""}
    meta = {
        "vocab_type": 1,
        "n_vocab": tokenizer.VOCABULARY_SIZE,
        "n_ctx": settings.slot_context,
        "n_ctx_train": 131072,
        "n_embd": 64,
        "n_params": 4178240,
        "size": 16712960,
        "ftype": "(guessed) all F32",
    }
    data: dict[str, Any] = {"id": name, "aliases": sorted(filter(None, settings.alias.split(","))), "tags": []}
    data |= {"object": "model", "created": machine.clock.unix(), "owned_by": "llamacpp", "meta": meta}
    return json_answer({"models": [entry | {"details": details}], "object": "list", "data": [data]})
