"""The tokenizer: exact, finite, and near to a trained one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.engine.model import tokenizer

PROSE = (
    "The quick brown fox jumps over the lazy dog, and nobody in the village is surprised, because it has done so "
    "every evening since the bridge was built."
)


@given(st.text())
def test_every_text_comes_back_as_it_was(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    for special in (True, False):
        assert tokenizer.decode(tokenizer.encode(text, parse_special=special)) == text


@given(st.text(alphabet="abc <s>/é☕"))
def test_every_id_is_in_the_vocabulary(text: str) -> None:
    assert all(0 <= token < tokenizer.VOCABULARY_SIZE for token in tokenizer.encode(text))


def test_prose_takes_less_than_two_tokens_a_word() -> None:
    assert len(tokenizer.encode(PROSE)) < 2 * len(PROSE.split())


def test_no_two_ids_have_the_same_bytes() -> None:
    pieces = [tokenizer.piece(token, special=True) for token in range(tokenizer.VOCABULARY_SIZE)]
    assert len(set(pieces)) == len(pieces)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, [tokenizer.EOS]), ({"add_bos": True}, [tokenizer.BOS, tokenizer.EOS])],
)
def test_special_tokens_are_one_id_each(options: dict[str, bool], expected: list[int]) -> None:
    assert tokenizer.encode("</s>", **options) == expected


def test_special_tokens_are_text_when_not_parsed() -> None:
    assert tokenizer.EOS not in tokenizer.encode("</s>", parse_special=False)


def test_a_character_cut_in_two_is_a_replacement_character() -> None:
    first, *_ = tokenizer.encode("☕")
    assert tokenizer.decode([first]) == "\N{REPLACEMENT CHARACTER}"
