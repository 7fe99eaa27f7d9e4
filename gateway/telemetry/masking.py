"""Keeps keys out of what the operator reads, and keeps lines from being forged."""

import codecs
import re

from gateway.core.account import KEY_PREFIX

# Anything that looks like one of our keys, or is in the place of a key in a header, wherever it came from.
_SECRETS = re.compile(
    rf"({re.escape(KEY_PREFIX)})[A-Za-z0-9_]{{8,}}"
    r"|((?:authorization|x-api-key|\bkey)(?:['\"]?\s*[:=]\s*(?:b?['\"])?|['\"]\s*,\s*b?['\"])(?:(?:bearer|basic)\s+)?)"
    r"[^\s'\"\\,&]+",
    re.IGNORECASE,
)
# What could forge a line, or the look of one: controls, line and paragraph separators, changes of direction.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
codecs.lookup("unicode_escape")  # loads it now: later there may be no file descriptor left to do so
MAX_TEXT = 3000  # characters, so that a line stays below 4 KiB


def masked(text: str) -> str:
    """`text` with every key in it replaced, and no control character that could forge a line."""
    lower = text.lower()
    if text.isprintable() and "key" not in lower and KEY_PREFIX not in lower and "authorization" not in lower:
        return text[:MAX_TEXT]  # nearly always; searching costs ten times as much
    text = _SECRETS.sub(lambda match: (match[1] or match[2]) + "…", text)
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)[:MAX_TEXT]
