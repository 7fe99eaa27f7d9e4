"""Text on its way out: whole characters only, and nothing that may yet turn out to be a stop word."""

from collections.abc import Sequence

from mockserver.engine.model.tokenizer import text_decoder


class StopWordFilter:
    """Collects the bytes of an answer and lets out what is safe to show."""

    def __init__(self, stop_words: Sequence[str]) -> None:
        self._stop_words = stop_words
        self._decoder = text_decoder()
        self._longest = max(map(len, stop_words), default=0)
        self._sent = 0
        self.text = ""
        self.stopped_by = ""

    def push(self, data: bytes) -> str:
        """Add a token's bytes; returns the text that may be sent now. Sets `stopped_by` at a stop word."""
        if not self._stop_words:
            self.text += self._decoder.decode(data)
            return self._advance(len(self.text))
        search_from = max(0, len(self.text) - self._longest)
        self.text += self._decoder.decode(data)
        found = [(place, word) for word in self._stop_words if (place := self.text.find(word, search_from)) >= 0]
        if found:
            place, self.stopped_by = min(found)
            self.text = self.text[:place]
        return self._advance(len(self.text) - (0 if found else self._held_back()))

    def flush(self) -> str:
        """What was held back when the answer ended otherwise."""
        self.text += self._decoder.decode(b"", final=True)
        return self._advance(len(self.text))

    def _advance(self, end: int) -> str:
        start, self._sent = self._sent, max(self._sent, end)
        return self.text[start : self._sent]

    def _held_back(self) -> int:
        """Length of the longest tail that begins a stop word."""
        sizes = range(min(self._longest - 1, len(self.text)), 0, -1)
        return next((n for n in sizes if any(word.startswith(self.text[-n:]) for word in self._stop_words)), 0)
