"""The tokenizer: SmolLM2's, and nothing of a text is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.core.api_errors import ApiError
from mockserver.engine.model import byte_pairs, tokenizer
from mockserver.engine.model.tokenizer import BOS, EOS, VOCABULARIES, VOCABULARY_SIZE

CHATML, STORIES, BERT = VOCABULARIES["chatml"], VOCABULARIES["stories"], VOCABULARIES["bert"]
PROSE = (
    "The quick brown fox jumps over the lazy dog, and nobody in the village is surprised, because it has done so "
    "every evening since the bridge was built."
)


@given(st.text())
def test_every_answer_is_said_as_it_is(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert b"".join(map(tokenizer.piece, tokenizer.encode(text))).decode() == text


@given(st.text(st.characters(codec="latin-1", exclude_categories=["C"])))
def test_every_prompt_comes_back_as_it_was(text: str) -> None:
    for special in (True, False):
        assert CHATML.decode(CHATML.encode(text, parse_special=special)) == text


@given(st.text())
def test_every_id_of_a_prompt_is_in_the_vocabulary(text: str) -> None:
    assert all(0 <= token < VOCABULARY_SIZE for token in CHATML.encode(text))


def test_prose_takes_less_than_two_tokens_a_word() -> None:
    assert len(tokenizer.encode(PROSE)) < 2 * len(PROSE.split())


def test_no_two_ids_have_the_same_bytes() -> None:
    pieces = [CHATML.piece(token) for token in range(VOCABULARY_SIZE)]
    assert len(set(pieces)) == len(pieces)


@pytest.mark.parametrize("token", [-1, VOCABULARY_SIZE])
def test_an_id_that_there_is_not_is_the_complaint_of_a_vector(token: int) -> None:
    with pytest.raises(ApiError, match=r"vector::_M_range_check: __n \(which is \d+\) >= this->size\(\)"):
        CHATML.piece(token)


def test_special_tokens_are_one_id_each() -> None:
    assert STORIES.encode("</s>") == [EOS]
    assert CHATML.encode("<|im_start|><|im_end|>") == [BOS, EOS]


def test_special_tokens_are_around_a_prompt_where_the_model_wants_them() -> None:
    (a,) = CHATML.encode("a", add_special=True)
    assert STORIES.encode("a", add_special=True) == [BOS, a]
    assert BERT.encode("a", add_special=True) == [BOS, a, EOS]


def test_a_small_vocabulary_makes_more_tokens_of_the_same_text() -> None:
    assert STORIES.decode(STORIES.encode(PROSE)) == PROSE
    assert 2 * len(CHATML.encode(PROSE)) < len(STORIES.encode(PROSE)) < 3 * len(CHATML.encode(PROSE))


def test_special_tokens_are_text_when_not_parsed() -> None:
    assert EOS not in STORIES.encode("</s>", parse_special=False)


def test_a_character_cut_in_two_is_a_replacement_character() -> None:
    first, *_ = tokenizer.encode("☕")
    assert CHATML.decode([first]) == "\N{REPLACEMENT CHARACTER}"


def test_what_is_known_of_the_vocabulary_beforehand_is_so() -> None:
    """It is read when it is first asked for."""
    pieces = byte_pairs.pieces()
    assert len(pieces) == byte_pairs.SIZE
    assert tuple(piece.decode() for piece in pieces[: byte_pairs.FIRST_BYTE]) == CHATML.specials
    assert {len(piece) for piece in pieces[byte_pairs.FIRST_BYTE : byte_pairs.FIRST_TEXT]} == {1}
    assert 1 not in {len(piece) for piece in pieces[byte_pairs.FIRST_TEXT :]}


@pytest.mark.parametrize("character", [" ", "\t", "#", "a", "é", "😀"])
@pytest.mark.parametrize("size", [VOCABULARY_SIZE, STORIES.size])
def test_a_long_run_of_one_character_is_split_without_all_of_it(
    character: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"\n{character * number}\n " for number in (3071, 3072, 4099)]
    with monkeypatch.context() as plainly:
        plainly.setattr(byte_pairs, "_long_word", byte_pairs._merge)
        wanted = [byte_pairs.encode(text, size) for text in texts]
    merge, asked = byte_pairs._merge, []

    def noted(word: str, size: int) -> tuple[int, ...]:
        asked.append(len(word))
        return merge(word, size)

    monkeypatch.setattr(byte_pairs, "_merge", noted)
    assert [byte_pairs.encode(text, size) for text in texts] == wanted
    assert max(asked) < 3 * 1024 + 4
