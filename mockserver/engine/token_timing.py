"""How long a slot's work takes: by the speeds there are, longer under load, and differing by the dice."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from mockserver.core.clock import Clock
from mockserver.core.options import Options

_TURN = 8
"""Tokens generated in one go where there is no speed to keep."""


@dataclass(slots=True)
class TokenTimer:
    """The pace of one task. `began` is when its first token was due; `busy` counts the slots at work."""

    settings: Options
    clock: Clock
    busy: Callable[[], int]
    dice: random.Random
    began: float = 0.0
    _due: float = 0.0

    def start(self) -> None:
        """The prompt is begun now."""
        self._due = self.clock.now()

    async def read(self, tokens: int, share: float) -> None:
        """Wait until so many tokens of the prompt, this share of it, are processed."""
        self._due += self._stretched(self.settings.ttft * share)
        if speed := self.settings.prompt_tokens_per_second:
            self._due += self._stretched(tokens / speed)
        await self.clock.sleep_until(self._due)

    def begin(self) -> None:
        """The first token comes now."""
        self.began = self._due = self.clock.now()

    async def write(self, written: int) -> None:
        """Wait until the next token is due. Without a speed only let others have their turn."""
        speed = self.settings.tokens_per_second
        if speed and written:
            self._due += self._stretched(1 / speed)
            await self.clock.sleep_until(self._due)
        elif written % _TURN == 0:
            await self.clock.sleep_until(self.began)

    def _stretched(self, seconds: float) -> float:
        """A time under the load there is, and with the jitter of the dice."""
        settings = self.settings
        load = (settings.load_factor - 1) * (self.busy() - 1) / max(settings.slots - 1, 1)
        return seconds * (1 + load) * (1 + settings.jitter * (2 * self.dice.random() - 1))
