"""The keys by digest: what a change takes over, copies and leaves out."""

import pytest

from gateway.core.account import Key
from gateway.core.secret_text import digest_of
from gateway.registry.key_index import KeyIndex

KEYS = [Key(f"key_{number}", "k", "acme", digest_of(f"gw_{number}")) for number in range(1_000)]


def test_it_holds_what_a_dictionary_would() -> None:
    index, plain = KeyIndex(KEYS), {key.digest: key for key in KEYS}
    assert index == plain
    assert len(index) == 1_000
    assert [index.find(key.digest) for key in KEYS] == KEYS
    assert all(digest in index for digest in plain)


@pytest.mark.parametrize("digest", [digest_of("another"), b"no key"])
def test_what_it_does_not_hold_is_not_found(digest: bytes) -> None:
    index = KeyIndex(KEYS)
    assert index.find(digest) is None
    assert digest not in index
    with pytest.raises(KeyError):
        index[digest]


def test_a_change_leaves_the_index_before_it_as_it_was() -> None:
    before = KeyIndex(KEYS)
    ended = KEYS[3]._replace(name="renamed")
    new = Key("key_new", "n", "acme", digest_of("gw_new"))
    after = before.changed([ended, new], {KEYS[5].id})
    expected = dict(before)
    expected |= {ended.digest: ended, new.digest: new}
    del expected[KEYS[5].digest]
    assert after == expected
    assert before == {key.digest: key for key in KEYS}


def test_a_change_copies_only_the_parts_that_it_concerns() -> None:
    before = KeyIndex(KEYS)
    after = before.changed([KEYS[3]._replace(name="renamed")])
    parts = zip(before._shards, after._shards, strict=True)
    assert sum(one is not other for one, other in parts) == 1


def test_of_two_keys_with_one_digest_the_later_counts() -> None:
    other = KEYS[0]._replace(id="other")
    assert KeyIndex([KEYS[0], other]).find(other.digest) is other
