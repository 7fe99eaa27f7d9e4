"""Keeps keys out of what the operator reads, and keeps lines from being forged."""

import codecs
import re
from collections.abc import Callable

from gateway.core.secret_text import digest_of

# Anything that looks like one of our keys, or is in the place of a key in a header, wherever it came from.
_SECRETS = re.compile(
    r"(gw[ais]?_)[A-Za-z0-9_]{8,}"  # keys, admin tokens, invitations, sessions
    r"|((?:authorization|x-api-key|\bkey)(?:['\"]?\s*[:=]\s*(?:b?['\"])?|['\"]\s*,\s*b?['\"])(?:(?:bearer|basic)\s+)?)"
    r"[^\s'\"\\,&]+",
    re.IGNORECASE,
)
# What could forge a line, or the look of one: controls, line and paragraph separators, changes of direction.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
codecs.lookup("unicode_escape")  # loads it now: later there may be no file descriptor left to do so
MAX_TEXT = 3000  # characters, so that a line stays below 4 KiB


# A key that an operator thought up looks like nothing in particular. It is found by its digest, in each word of a text,
# and in each run of a word's parts: it may stand in a path, or behind a `=`.
_WORD = re.compile(r"[^\s'\"<>()\[\]{},;|]{8,}")  # no key is shorter
_SHORTEST_KEY = 8
_PARTS = re.compile(r"([/=&?:@#\\]+)")
_MOST_PARTS = 7  # of a run, delimiters included: more would make it slow, and a key has no more

_is_key: Callable[[bytes], bool] = lambda digest: False  # noqa: E731  until a registry is open


def know_keys(is_key: Callable[[bytes], bool]) -> None:
    """From now on mask what `is_key` says to be a key; it is given a SHA-256. One for the process, as its log is."""
    global _is_key  # noqa: PLW0603  the log's formatters are made before there is a registry
    _is_key = is_key


def is_key(text: str) -> bool:
    """Whether this, as a whole, is a key that is known."""
    return _is_key(digest_of(text))


def masked(text: str) -> str:
    """`text` with every key in it replaced, and no control character that could forge a line."""
    return masked_by_form(_WORD.sub(_without_known_keys, text))


def masked_by_form(text: str) -> str:
    """The same of keys that look like one, or stand where a key belongs, and of no other: it costs a tenth."""
    lower = text.lower()
    if text.isprintable() and "key" not in lower and "gw" not in lower and "authorization" not in lower:
        return text[:MAX_TEXT]  # nearly always; searching costs ten times as much
    text = _SECRETS.sub(lambda match: (match[1] or match[2]) + "…", text)
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)[:MAX_TEXT]


def _without_known_keys(word: re.Match[str]) -> str:
    parts = _PARTS.split(word[0])
    for begin in range(0, len(parts), 2):
        for end in range(min(len(parts), begin + _MOST_PARTS), begin, -2):
            run = "".join(parts[begin:end])
            for text in {run, run.rstrip(".!")} if len(run) >= _SHORTEST_KEY else ():
                if is_key(text):
                    return _WORD.sub(_without_known_keys, word[0].replace(text, "…"))
    return word[0]
