"""Fixtures: servers in a thread beside the test."""

from collections.abc import Iterator

import pytest

from fedsiege.services.rpc import server
from tests.fedsiege.client.served import Background, background


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Background]:
    """Servers of the test, which end with it, at once."""
    monkeypatch.setattr(server, "GRACE", 0.0)
    with background() as made:
        yield made
