"""The stop words of a request: text leaves as whole characters, and never with the beginning of a stop word at its end.

Mirrors tools/server/server-context.cpp (`find_stopping_strings`).
"""

from collections.abc import Sequence

from mockserver.engine.model.tokenizer import text_decoder


class StopWordFilter:
    """Collects the bytes of an answer, and gives out the text that cannot become part of a stop word any more."""

    def __init__(self, stop_words: Sequence[str]) -> None:
        self._stop_words = stop_words
        self._decoder = text_decoder()
        self._longest = max(map(len, stop_words), default=0)
        self._sent = 0
        self.text = ""
        self.stopped = False
        self.stopping_word = ""

    def push(self, data: bytes) -> str:
        """Add a token's bytes; returns the text that may be sent now. Sets `stopped` at a stop word, be it empty."""
        if not self._stop_words:
            self.text += self._decoder.decode(data)
            return self._advance(len(self.text))
        before = len(self.text)
        self.text += self._decoder.decode(data)
        places = ((self.text.find(word, max(0, before - len(word))), word) for word in self._stop_words)
        found = [(place, word) for place, word in places if place >= 0]
        if found:
            self.stopped = True
            place, self.stopping_word = min(found)
            self.text = self.text[:place]
        return self._advance(len(self.text) - (0 if found else self._partial_match()))

    def flush(self) -> str:
        """The rest of the text, when the answer ends without a stop word."""
        self.text += self._decoder.decode(b"", final=True)
        return self._advance(len(self.text))

    def _advance(self, end: int) -> str:
        start, self._sent = self._sent, max(self._sent, end)
        return self.text[start : self._sent]

    def _partial_match(self) -> int:
        """Length of the longest tail that begins a stop word."""
        sizes = range(min(self._longest - 1, len(self.text)), 0, -1)
        return next((n for n in sizes if any(word.startswith(self.text[-n:]) for word in self._stop_words)), 0)
