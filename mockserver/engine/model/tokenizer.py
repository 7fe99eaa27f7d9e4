"""A real tokenizer without a vocabulary file: whole common words, pieces of three letters, single bytes.

Every text has exactly one tokenization and comes back byte for byte. English prose takes about 1.5 tokens a
word, close to a trained vocabulary, and nothing has to be read or downloaded at start.
"""

import codecs
import itertools
import re
import string
from collections.abc import Iterable, Sequence
from functools import lru_cache

from mockserver.engine.model.vocabulary import WORDS

UNKNOWN, BOS, EOS = 0, 1, 2
SPECIALS = ("<unk>", "<s>", "</s>")
_FIRST_BYTE = len(SPECIALS)
_CHUNK = 3
_LONGEST_KNOWN = 32


def _texts() -> list[str]:
    """Every piece longer than a byte, in the order of its id."""
    letters = string.ascii_lowercase
    runs = ["".join(run) for size in (1, 2, 3) for run in itertools.product(letters, repeat=size)]
    words = [word for word in WORDS if len(word) > _CHUNK]
    words += [word.capitalize() for word in words]
    pieces = [*runs[26:], *words]
    return [*pieces, *(f" {piece}" for piece in (*runs, *string.ascii_uppercase, *words))]


_TEXTS = _texts()
FIRST_TEXT = _FIRST_BYTE + 256
_IDS = {text: number for number, text in enumerate(_TEXTS, FIRST_TEXT)}
VOCABULARY_SIZE = FIRST_TEXT + len(_TEXTS)
_SPECIAL = re.compile("(" + "|".join(re.escape(text) for text in SPECIALS) + ")")
_WORD = re.compile(r" ?[A-Za-z]+|[^A-Za-z ]+| ")


def _word(word: str) -> tuple[int, ...]:
    """Ids of one word with its leading space, or of a run of anything else; long ones are not remembered."""
    return _split(word) if len(word) > _LONGEST_KNOWN else _known_word(word)


@lru_cache(maxsize=16384)
def _known_word(word: str) -> tuple[int, ...]:
    return _split(word)


def _split(word: str) -> tuple[int, ...]:
    if (whole := _IDS.get(word)) is not None:
        return (whole,)
    found: list[int] = []
    position = 0
    while position < len(word):
        size = next((n for n in (4, 3, 2) if word[position : position + n] in _IDS), 0)
        if size:
            found.append(_IDS[word[position : position + size]])
        else:
            size = 1
            found.extend(_FIRST_BYTE + byte for byte in word[position].encode("utf-8", "replace"))
        position += size
    return tuple(found)


def _plain(text: str) -> list[int]:
    return [token for word in _WORD.findall(text) for token in _word(word)]


def encode(text: str, *, add_bos: bool = False, parse_special: bool = True) -> list[int]:
    """Ids of a text; `<s>` and the like are one token each unless `parse_special` is off."""
    tokens = [BOS] if add_bos else []
    if not parse_special:
        return tokens + _plain(text)
    for part in _SPECIAL.split(text):
        tokens += [SPECIALS.index(part)] if part in SPECIALS else _plain(part)
    return tokens


def piece(token: int, *, special: bool = False) -> bytes:
    """The bytes of one id; those of a special token only when `special`. Unknown ids have none."""
    if token < _FIRST_BYTE:
        return SPECIALS[token].encode() if special and token >= 0 else b""
    if token < FIRST_TEXT:
        return bytes([token - _FIRST_BYTE])
    return _TEXTS[token - FIRST_TEXT].encode() if token < VOCABULARY_SIZE else b""


def decode(tokens: Iterable[int], *, special: bool = True) -> str:
    """The text of ids; bytes that are no UTF-8 become replacement characters."""
    return b"".join(piece(token, special=special) for token in tokens).decode("utf-8", "replace")


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many ids two sequences begin with alike."""
    for number, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return number
    return min(len(left), len(right))


def text_decoder() -> codecs.IncrementalDecoder:
    """A decoder that holds back the bytes of a character that is not complete."""
    return codecs.getincrementaldecoder("utf-8")("replace")
