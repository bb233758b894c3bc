"""Settings of all tests: they compute in one thread, and leave logging as they found it.

Two threads on a busy machine spend most of their time waiting for each other: the same tests take
ten times as long.
"""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, here and in processes started here

# A busy machine takes as long as it takes.
settings.register_profile("fedsiege", deadline=None)
settings.load_profile("fedsiege")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command under test sets up for logging."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
