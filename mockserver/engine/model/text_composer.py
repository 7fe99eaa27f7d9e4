"""What a model would be here: text from a seed. The same prompt and seed always give the same answer."""

import hashlib
import random
import string
from collections.abc import Iterator, Sequence

from mockserver.engine.model import tokenizer
from mockserver.engine.model.vocabulary import OBJECTS, SUBJECTS, TAILS, VERBS

_ALPHANUMERIC = string.ascii_letters + string.digits


def dice(seed: int, prompt: Sequence[int]) -> random.Random:
    """A generator of its own for one answer, from the prompt and the seed alone."""
    material = ",".join(map(str, (seed, *prompt))).encode()
    return random.Random(hashlib.blake2b(material, digest_size=8).digest())  # noqa: S311  repeatable on purpose


def sentences(rng: random.Random) -> Iterator[str]:
    """Sentences without end, each with its leading space but the first."""
    start = ""
    while True:
        subject, verb, thing = rng.choice(SUBJECTS), rng.choice(VERBS), rng.choice(OBJECTS)
        tail = rng.choice(TAILS)
        yield f"{start}{subject[0].upper()}{subject[1:]} {verb} {thing}{tail and ' '}{tail}."
        start = " "


def phrase(rng: random.Random) -> str:
    """A few words that can stand anywhere a string is wanted."""
    return rng.choice(OBJECTS)


def compose(rng: random.Random, *, endless: bool = False) -> Iterator[int]:
    """Tokens of two to five sentences and the end, or of sentences without end."""
    remaining = rng.randint(2, 5)
    for sentence in sentences(rng):
        yield from tokenizer.encode(sentence)
        remaining -= 1
        if remaining == 0 and not endless:
            yield tokenizer.EOS
            return


class IdGenerator:
    """Identifiers in llama-server's form, a prefix and 32 letters and digits; repeatable by seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311  identifiers of a double, not secrets

    def new(self, prefix: str = "") -> str:
        """The next identifier."""
        return prefix + "".join(self._rng.choices(_ALPHANUMERIC, k=32))
