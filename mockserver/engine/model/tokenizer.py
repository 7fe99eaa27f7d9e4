"""A model's vocabulary: the tokens of a text, with those that are special, and the text of tokens.

Mirrors common/common.cpp (`common_tokenize`, `common_token_to_piece`).
"""

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mockserver.core.api_errors import ApiError
from mockserver.engine.model import byte_pairs

UNKNOWN, BOS, EOS = 0, 1, 2
_SMALL = 512
FIRST_TEXT, VOCABULARY_SIZE = byte_pairs.FIRST_TEXT, byte_pairs.SIZE


@dataclass(frozen=True)
class Vocabulary:
    """Special tokens by name, and which of them a model wants at the beginning and the end of a prompt.

    `after_bos` is what its first word begins with (SentencePiece's blank), `size` how many of the tokens there are
    texts are split into.
    """

    specials: tuple[str, ...]
    adds_bos: bool = False
    adds_eos: bool = False
    after_bos: str = ""
    size: int = VOCABULARY_SIZE
    _pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pattern = "|".join(map(re.escape, self.specials))
        object.__setattr__(self, "_pattern", re.compile(f"({pattern})"))

    @cached_property
    def bos(self) -> str:
        """The text of the token that begins a text."""
        return self.specials[BOS]

    @cached_property
    def eos(self) -> str:
        """The text of the token that ends an answer."""
        return self.specials[EOS]

    def encode(self, text: str, *, add_special: bool = False, parse_special: bool = True) -> list[int]:
        """Ids of a text, with those that the model wants around a prompt; `<s>` and the like are one id each, unless
        `parse_special` is off. Bytes without a token are left out.
        """
        tokens = [BOS] if add_special and self.adds_bos else []
        for part in self._pattern.split(text) if parse_special else (text,):
            if parse_special and part in self.specials:
                tokens.append(self.specials.index(part))
            elif part:
                tokens += byte_pairs.encode(part, self.size)
        tokens += [EOS] if add_special and self.adds_eos else []
        return tokens if text.isascii() and text.isprintable() else [one for one in tokens if one < VOCABULARY_SIZE]

    def piece(self, token: int) -> bytes:
        """The bytes of one id, those of a special token its name. Raises the 500 of an unknown id."""
        if not 0 <= token < VOCABULARY_SIZE:
            raise ApiError(
                500,
                f"vector::_M_range_check: __n (which is {token % 2**64}) >= this->size() (which is {VOCABULARY_SIZE})",
            )
        return self.specials[token].encode() if token < len(self.specials) else byte_pairs.piece(token)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of ids; bytes that are no UTF-8 become replacement characters. Raises as `piece` does."""
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")

    def prompt(self, tokens: Sequence[int]) -> str:
        """A prompt as answers show it."""
        if self.after_bos and tokens[:1] == [BOS]:
            return f"{self.bos}{self.after_bos}{self.decode(tokens[1:])}"
        return self.decode(tokens)


_FURTHER = (
    *("<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<gh_stars>"),
    *("<issue_start>", "<issue_comment>", "<issue_closed>"),
    *("<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<jupyter_script>", "<empty_output>"),
)
VOCABULARIES = {
    "chatml": Vocabulary(("<|endoftext|>", "<|im_start|>", "<|im_end|>", *_FURTHER)),
    "stories": Vocabulary(("<unk>", "<s>", "</s>", *_FURTHER), adds_bos=True, after_bos=" ", size=_SMALL),
    "bert": Vocabulary(("[UNK]", "[CLS]", "[SEP]", *_FURTHER), adds_bos=True, adds_eos=True),
}
"""What `Options.vocabulary` names: all with SmolLM2's tokens for text, `stories` only with the first of them."""


def encode(text: str) -> list[int]:
    """Ids of an answer's text: nothing of it is special, and every byte of it is said."""
    return byte_pairs.encode(text)


def piece(token: int) -> bytes:
    """The bytes of one id of an answer; a special token has none."""
    return byte_pairs.piece(token) if token >= byte_pairs.FIRST_BYTE else b""


def check_tokens(tokens: Sequence[int]) -> None:
    """Raises the 400 of a prompt with an unknown id."""
    if tokens and not 0 <= min(tokens) <= max(tokens) < VOCABULARY_SIZE:
        raise ApiError(400, "Prompt contains invalid tokens")


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many ids two sequences begin with alike."""
    for number, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return number
    return min(len(left), len(right))


def text_decoder() -> codecs.IncrementalDecoder:
    """A decoder that holds back the bytes of a character that is not complete."""
    return codecs.getincrementaldecoder("utf-8")("replace")
