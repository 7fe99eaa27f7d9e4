"""The contract's table, word for word."""

import json

import pytest

from gateway.core import errors
from gateway.core.errors import ErrorRow, Refusal, error_body

NOT_READY = "Endpoint is not ready (status: %s). It may still be deploying or paused."
RETRY_5 = {"Retry-After": "5", "x-should-retry": "true"}
UNREACHABLE = "The model endpoint is unreachable right now. It may be restarting — try again in a moment."


@pytest.mark.parametrize(
    ("refusal", "status", "kind", "message", "headers"),
    [
        (
            Refusal(errors.BAD_KEY),
            401,
            "authentication_error",
            "Invalid API key.",
            {"WWW-Authenticate": "Bearer", "x-should-retry": "false"},
        ),
        (
            Refusal(errors.NO_DEPLOYMENT),
            404,
            "not_found_error",
            "No deployment found for this endpoint.",
            {"x-should-retry": "false"},
        ),
        (
            Refusal(errors.DEPLOYING, "deploying"),
            503,
            "overloaded_error",
            NOT_READY % "deploying",
            {"Retry-After": "5"},
        ),
        (Refusal(errors.PAUSED, "paused"), 503, "overloaded_error", NOT_READY % "paused", {"Retry-After": "30"}),
        (Refusal(errors.UNREACHABLE), 502, "api_error", UNREACHABLE, {"Retry-After": "1"}),
    ],
    ids=lambda value: value.row.reason if isinstance(value, Refusal) else "",
)
def test_the_contract_is_kept_to_the_letter(
    refusal: Refusal, status: int, kind: str, message: str, headers: dict[str, str]
) -> None:
    assert refusal.row.status == status
    assert refusal.body == f'{{"error": {{"type": "{kind}", "message": "{message}"}}}}'.encode()
    assert refusal.headers.items() >= headers.items()


@pytest.mark.parametrize("row", [*errors.CONTRACT, *errors.FURTHER], ids=lambda row: row.reason)
def test_every_refusal_has_the_same_shape(row: ErrorRow) -> None:
    refusal = Refusal(row, "DETAIL", cause="SECRET", Allow="GET")
    answer = json.loads(refusal.body)
    assert list(answer) == ["error"]
    assert list(answer["error"]) == ["type", "message"]
    assert answer["error"]["message"].endswith((".", "DETAIL"))
    assert "{" not in answer["error"]["message"]
    assert b"SECRET" not in refusal.body
    assert refusal.headers["Allow"] == "GET"
    assert "Allow" not in row.headers


def test_reasons_are_unique() -> None:
    reasons = [row.reason for row in (*errors.CONTRACT, *errors.FURTHER)]
    assert len(set(reasons)) == len(reasons)


def test_a_body_is_utf_8_and_unescaped() -> None:
    assert error_body("t", "—") == '{"error": {"type": "t", "message": "—"}}'.encode()
