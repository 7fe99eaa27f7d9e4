"""The stop words of a request: text leaves as whole characters, and nothing of it while its end may begin a stop word.

Mirrors tools/server/server-context.cpp (`process_token`, `find_stopping_strings`).
"""

from collections.abc import Sequence

from mockserver.engine.model.tokenizer import text_decoder


class StopWordFilter:
    """Collects the bytes of an answer, and gives out the text that cannot become part of a stop word any more."""

    def __init__(self, stop_words: Sequence[str]) -> None:
        self._stop_words = stop_words
        self._decoder = text_decoder()
        self._text = ""
        self._sent = 0
        self.stopped = False
        self.stopping_word = ""

    def push(self, data: bytes, *, is_end: bool = False) -> str | None:
        """Add a token's bytes; returns the text that leaves with it, or None if it ends within a character.

        Sets `stopped` at a stop word, be it empty. At the end of the answer nothing is held back.
        """
        added = self._decoder.decode(data)
        self._text += added
        if self._decoder.getstate()[0]:
            return None
        unsent = self._text[self._sent :]
        if not self._stop_words:
            self._sent = len(self._text)
            return unsent
        if found := self._full_matches(unsent, len(added)):
            self.stopped = True
            place, self.stopping_word = min(found, key=lambda match: match[0])
            unsent = unsent[:place]
            self._text = self._text[: self._sent] + unsent
        elif not is_end and self._may_begin(unsent):
            return ""
        self._sent = len(self._text)
        return unsent

    @property
    def sent(self) -> str:
        """The text that has left."""
        return self._text[: self._sent]

    def whole(self) -> str:
        """All text, what was held back and half a character included: an answer that is no stream has it."""
        return self._text + self._decoder.decode(b"", final=True)

    def _full_matches(self, unsent: str, added: int) -> list[tuple[int, str]]:
        places = ((unsent.find(word, max(0, len(unsent) - added - len(word))), word) for word in self._stop_words)
        return [(place, word) for place, word in places if place >= 0]

    def _may_begin(self, unsent: str) -> bool:
        """Whether a stop word may begin at the end of the text."""
        return any(
            unsent.endswith(word[:size])
            for word in self._stop_words
            for size in range(1, min(len(word), len(unsent) + 1))
        )
