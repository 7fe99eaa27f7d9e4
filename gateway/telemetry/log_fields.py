"""What the log's line of a request says."""

from typing import Any

from gateway.core.exchange import Exchange
from gateway.telemetry.masking import masked, masked_by_form


def log_fields(exchange: Exchange) -> dict[str, Any]:
    """The fields of a request's log line; `docs/operate/logs.md` explains each. Untrusted text is masked."""
    fields: dict[str, Any] = {
        "id": exchange.id if exchange.has_own_id else masked_by_form(exchange.id),
        "account": exchange.account,
        "key": exchange.key,
        "deployment": exchange.deployment,
        "endpoint": exchange.endpoint or exchange.path,
        "status": exchange.status,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "first_byte_ms": _milliseconds(exchange.first_byte_at, exchange.started),
        "total_ms": _milliseconds(exchange.ended_at, exchange.started),
        "ending": exchange.ending._value_,
    }
    if exchange.usage is not None:
        fields["tokens_in"] = exchange.usage.tokens_in
        fields["tokens_out"] = exchange.usage.tokens_out
        fields["tokens_per_second"] = exchange.usage.tokens_per_second
    if exchange.client is not None:
        fields["client"] = exchange.client
    if exchange.reason:
        fields["reason"] = exchange.reason
    if exchange.cause:
        fields["cause"] = masked(exchange.cause)
    return fields


def _milliseconds(at: float | None, start: float) -> float | None:
    return None if at is None else int((at - start) * 100_000) / 100  # round() costs twenty times as much
