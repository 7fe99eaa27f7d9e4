"""One thing of a JSON value made wrong: replaced, left out, repeated, wrapped or renamed."""

import copy
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from scripts.drifting.generating.fields import ODD

Path = tuple[str | int, ...]


def mutated(value: Any, random: Random) -> Any:
    """A copy with a change at one place, which is as often near the root as deep within."""
    places = sorted(paths(value), key=len)
    depth = random.choice(sorted({len(place) for place in places}))
    place = random.choice([one for one in places if len(one) == depth])
    if not place:
        return random.choice(ODD)
    changed = copy.deepcopy(value)
    parent = at(changed, place[:-1])
    _change(parent, place[-1], random)
    return changed


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """Every place in a JSON value, the root's empty path among them."""
    yield before
    children: Sequence[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    for name, child in children:
        yield from paths(child, (*before, name))


def at(value: Any, place: Path) -> Any:
    """What stands at a place."""
    for name in place:
        value = value[name]
    return value


def _change(parent: Any, name: Any, random: Random) -> None:
    kind = random.choices(("replace", "remove", "wrap", "repeat", "rename"), (12, 3, 2, 1, 1))[0]
    if kind == "remove":
        del parent[name]
    elif kind == "wrap":
        parent[name] = [parent[name]]
    elif kind == "repeat" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[name]))
    elif kind == "rename" and isinstance(parent, dict):
        parent[f"{name}_"] = parent.pop(name)
    else:
        parent[name] = random.choice(ODD)
