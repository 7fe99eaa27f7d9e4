"""When the work of a slot is done: at the speeds of the options, more slowly under load, with some jitter."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from mockserver.core.clock import Clock
from mockserver.core.options import Options

_TOKENS_A_TURN = 8
"""Tokens generated in one go where there is no speed to keep."""


@dataclass(slots=True)
class TokenTimer:
    """When the tokens of one task are due. `generation_start` is the time of the first, `busy` counts the slots at
    work.
    """

    options: Options
    clock: Clock
    busy: Callable[[], int]
    dice: random.Random
    generation_start: float = 0.0
    _due: float = 0.0

    def start_prompt(self) -> None:
        """The prompt's processing starts now."""
        self._due = self.clock.now()

    async def wait_for_batch(self, tokens: int, share: float) -> None:
        """Wait until so many tokens of the prompt, this share of it, are processed."""
        self._due += self._under_load(self.options.ttft * share)
        if speed := self.options.prompt_tokens_per_second:
            self._due += self._under_load(tokens / speed)
        await self.clock.sleep_until(self._due)

    def start_generation(self) -> None:
        """The first token is due now."""
        self.generation_start = self._due = self.clock.now()

    async def wait_for_token(self, written: int) -> None:
        """Wait until the next token is due. Without a speed it only lets other tasks run."""
        speed = self.options.tokens_per_second
        if speed and written:
            self._due += self._under_load(1 / speed)
            await self.clock.sleep_until(self._due)
        elif written % _TOKENS_A_TURN == 0:
            await self.clock.sleep_until(self.generation_start)

    def _under_load(self, seconds: float) -> float:
        """Seconds, made longer by the load and varied by the jitter."""
        options = self.options
        load = (options.load_factor - 1) * (self.busy() - 1) / max(options.slots - 1, 1)
        return seconds * (1 + load) * (1 + options.jitter * (2 * self.dice.random() - 1))
