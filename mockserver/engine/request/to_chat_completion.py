"""Anthropic's and OpenAI's newer requests put in the terms of a chat completion, as llama-server does.

Mirrors tools/server/server-chat.cpp.
"""

from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.nlohmann_json import dump

_ANTHROPIC_MAX_TOKENS = 4096
_CHOICES = {"auto": "auto", "none": "none", "any": "required"}


def from_anthropic(body: Any) -> dict[str, Any]:
    """A messages request as a chat request; raises the 500 of missing messages."""
    if not isinstance(body, dict) or "messages" not in body:
        raise ApiError(500, "'messages' is required")
    messages = body["messages"] if isinstance(body["messages"], list) else []
    system = body.get("system")
    turns = [{"role": "system", "content": _system_text(system)}] if system else []
    for message in messages:
        turns += _anthropic_turn(message) if isinstance(message, dict) else [message]
    chat = {name: value for name, value in body.items() if name not in {"system", "tools", "tool_choice"}}
    chat |= {"messages": turns, "max_tokens": body.get("max_tokens", _ANTHROPIC_MAX_TOKENS)}
    chat["stop"] = body.get("stop_sequences") or []
    if tools := _objects(body.get("tools"), 500):
        chat["tools"] = [_anthropic_tool(tool) for tool in tools]
        chat["tool_choice"] = _anthropic_choice(body.get("tool_choice"))
    return chat


def _objects(tools: Any, code: int) -> list[dict[str, Any]]:
    """A list of tools, or none; raises an error of the protocol's kind for anything else."""
    if not tools:
        return []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise ApiError(code, "'tools' must be an array of objects")
    return tools


def _system_text(system: Any) -> str:
    if isinstance(system, list):
        return "".join(str(block.get("text", "")) for block in system if isinstance(block, dict))
    return str(system)


def _anthropic_tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = {"name": tool.get("name", ""), "description": tool.get("description", "")}
    return {"type": "function", "function": function | {"parameters": tool.get("input_schema", {})}}


def _anthropic_choice(choice: Any) -> Any:
    kind = choice.get("type") if isinstance(choice, dict) else "auto"
    if kind == "tool":
        return {"type": "function", "function": {"name": choice.get("name", "")}}
    return _CHOICES.get(str(kind), "auto")


def _anthropic_turn(message: dict[str, Any]) -> list[dict[str, Any]]:
    """One message; its tool results become messages of their own, after what the message says itself."""
    content = message.get("content")
    if not isinstance(content, list):
        return [message]
    blocks = [block for block in content if isinstance(block, dict)]
    turn: dict[str, Any] = {"role": message.get("role"), "content": []}
    turn["content"] = [part for block in blocks if (part := _anthropic_part(block))]
    calls = [_anthropic_call(block) for block in blocks if block.get("type") == "tool_use"]
    if calls:
        turn["tool_calls"] = calls
    thoughts = [str(block.get("thinking", "")) for block in blocks if block.get("type") == "thinking"]
    if thoughts:
        turn["reasoning_content"] = "".join(thoughts)
    results = [_tool_result(block) for block in blocks if block.get("type") == "tool_result"]
    said = turn["content"] or calls or thoughts or not results
    return [*([turn] if said else []), *results]


def _anthropic_part(block: dict[str, Any]) -> dict[str, Any] | None:
    if block.get("type") == "image":
        return {"type": "image_url", "image_url": {"url": ""}}
    return {"type": "text", "text": str(block.get("text", ""))} if block.get("type") == "text" else None


def _anthropic_call(block: dict[str, Any]) -> dict[str, Any]:
    function = {"name": block.get("name", ""), "arguments": dump(block.get("input", {}))}
    return {"type": "function", "id": block.get("id", ""), "function": function}


def _tool_result(block: dict[str, Any]) -> dict[str, Any]:
    content = block.get("content", "")
    if isinstance(content, list):
        content = [part for item in content if isinstance(item, dict) and (part := _anthropic_part(item))]
    return {"role": "tool", "tool_call_id": block.get("tool_use_id", ""), "content": content}


def from_responses(body: Any) -> dict[str, Any]:
    """A responses request as a chat request; raises the 400 of what llama-server does not do."""
    if not isinstance(body, dict) or "input" not in body:
        raise ApiError(400, "'input' is required")
    if body.get("previous_response_id"):
        raise ApiError(400, "llama.cpp does not support 'previous_response_id'.")
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ApiError(400, "'input' must be a string or array of objects")
    chat = {name: value for name, value in body.items() if name not in {"input", "instructions", "tools"}}
    instructions = body.get("instructions")
    system = [{"role": "system", "content": instructions}] if isinstance(instructions, str) else []
    chat["messages"] = system + [_response_item(item) for item in items]
    if body.get("max_output_tokens") is not None:
        chat["max_tokens"] = body["max_output_tokens"]
    tools = [_response_tool(tool) for tool in _objects(body.get("tools"), 400) if tool.get("type") == "function"]
    if tools:
        chat["tools"] = tools
    return chat


def _response_tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _response_item(item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("type")
    if kind == "function_call":
        function = {"name": item.get("name", ""), "arguments": item.get("arguments", "")}
        call = {"type": "function", "id": item.get("call_id", ""), "function": function}
        return {"role": "assistant", "content": "", "tool_calls": [call]}
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": item.get("call_id", ""), "content": item.get("output", "")}
    content = item.get("content")
    if isinstance(content, list):
        content = [_response_part(part) for part in content]
    elif not isinstance(content, str):
        raise ApiError(400, "Cannot determine type of 'item'")
    return {"role": item.get("role", "user"), "content": content}


def _response_part(part: Any) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "input_file":
        raise ApiError(400, "'input_file' is not supported by llamacpp at this moment")
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url", "")}}
    if kind not in {"input_text", "output_text", "refusal", "text"}:
        raise ApiError(400, "'type' must be one of 'input_text', 'input_image', or 'input_file'")
    return {"type": "text", "text": str(part.get("text", part.get("refusal", "")))}
