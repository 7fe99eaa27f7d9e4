"""The `tools` and the `tool_choice` of a chat request.

Mirrors common/chat.cpp (`common_chat_tools_parse_oaicompat`, `common_chat_tool_choice_parse_oaicompat`).
"""

import json
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import as_text, at, contains
from mockserver.core.nlohmann_json import JsonError, dump


def checked_tools(tools: Any) -> list[dict[str, Any]]:
    """The tools of a chat body, none for null; raises the 500 that shows what is malformed."""
    try:
        return _tools(tools)
    except ApiError as error:
        shown = json.dumps(tools, ensure_ascii=False, indent=2)
        raise ApiError(500, f"Failed to parse tools: {error.message}; tools = {shown}") from error


def checked_choice(choice: str) -> str:
    """The choice itself; raises the 400 of an unknown one."""
    if choice not in ("auto", "none", "required"):
        raise ApiError(400, f"Invalid tool_choice: {choice}")
    return choice


def _tools(tools: Any) -> list[dict[str, Any]]:
    if tools is None:
        return []
    if not isinstance(tools, list):
        raise JsonError(f"Expected 'tools' to be an array, got {dump(tools)}")
    return [_tool(tool) for tool in tools]


def _tool(tool: Any) -> dict[str, Any]:
    if not contains(tool, "type"):
        raise JsonError(f"Missing tool type: {dump(tool)}")
    if tool["type"] != "function":
        raise JsonError(f"Unsupported tool type: {dump(tool)}")
    if "function" not in tool:
        raise JsonError(f"Missing tool function: {dump(tool)}")
    function = tool["function"]
    parsed = {
        "name": as_text(at(function, "name")),
        "description": as_text(function.get("description", "")),
        "parameters": function.get("parameters", {}),
    }
    return {"type": "function", "function": parsed}
