"""All keys by digest, so kept that a change of one copies a few hundred and not a hundred thousand."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain

from gateway.core.account import Key

_SHARDS = 256  # one for each first byte: digests are evenly distributed


class KeyIndex(Mapping[bytes, Key]):
    """Immutable: `changed` makes another, which has most of its parts in common with this one."""

    __slots__ = ("_shards",)

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        """Index these. Of two keys with one digest, the later counts."""
        shards: tuple[dict[bytes, Key], ...] = tuple({} for _ in range(_SHARDS))
        for key in keys:
            shards[key.digest[0]][key.digest] = key
        self._shards = shards

    def __getitem__(self, digest: bytes) -> Key:
        return self._shards[digest[0]][digest]

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self._shards)

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def find(self, digest: bytes) -> Key | None:
        """The key with this digest, which is not empty; None if there is none. The mapping's `get`, only quicker."""
        return self._shards[digest[0]].get(digest)

    def changed(self, keys: Collection[Key], gone: Collection[str] = ()) -> "KeyIndex":
        """This with these keys put in, and those of the ids in `gone` taken out."""
        shards = list(self._shards)
        dropped = [digest for digest, key in self.items() if key.id in gone] if gone else []
        for number in {digest[0] for digest in chain(dropped, (key.digest for key in keys))}:
            shards[number] = shards[number].copy()
        for digest in dropped:
            del shards[digest[0]][digest]
        for key in keys:
            shards[key.digest[0]][key.digest] = key
        made = KeyIndex.__new__(KeyIndex)
        made._shards = tuple(shards)
        return made
