"""A test process without collections of garbage."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def no_collection() -> Iterator[None]:
    """A collection of all the garbage of a test process would be measured as the registry's own."""
    gc.disable()
    yield
    gc.enable()
