"""Text that may begin a stop word is held back, and looked at no further than it goes."""

from mockserver.engine.stop_words import StopWordFilter


def test_what_may_begin_a_stop_word_is_held_back() -> None:
    shown = StopWordFilter(["abc"])
    assert [shown.push(data) for data in (b"xa", b"b", b"d", b"abc")] == ["", "", "xabd", ""]
    assert shown.stopped


def test_a_stop_word_as_long_as_a_book_costs_no_more_than_the_text() -> None:
    # Each of its beginnings compared with the text: that would take hours, and the test would be ended.
    shown = StopWordFilter(["a" * 1_000_000])
    assert [shown.push(b"b") for _ in range(100)] == ["b"] * 100
