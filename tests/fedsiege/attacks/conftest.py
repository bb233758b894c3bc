"""A model of three weights, small enough to compute attacks on it by hand."""

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch

from fedsiege import models
from fedsiege.attacks import Broadcast
from fedsiege.attacks.fake.mpaf import own_bases, random_base

SHARED_BASE = [3.0, -1.0, 0.5]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Random initialisation gives SHARED_BASE, or the participant's index three times."""

    def weights(name: str, seed: int, purpose: str = "initial weights") -> torch.Tensor:
        assert name == "tiny"
        last = purpose.rsplit(maxsplit=1)[-1]
        return torch.full((3,), float(last)) if last.isdigit() else torch.tensor(SHARED_BASE)

    monkeypatch.setattr(models, "random_weights", weights)
    monkeypatch.setattr(models, "size", lambda name: 3)
    yield
    random_base.cache_clear()
    own_bases.cache_clear()


@pytest.fixture
def hear() -> Callable[..., Broadcast]:
    """Build what a participant of a tiny federation hears."""

    def broadcast(
        model: Sequence[float],
        previous: Sequence[float] | None = None,
        round_number: int = 2,
        seed: int = 0,
    ) -> Broadcast:
        before = None if previous is None else torch.tensor(previous)
        return Broadcast(round_number, torch.tensor(model), before, "tiny", seed)

    return broadcast


@pytest.fixture
def tell() -> Callable[..., Broadcast]:
    """Build what compromised participants know: what they and the others would send.

    The hostile are 1, 4, 7, .., the benign 0, 3, 6, ..
    """

    def broadcast(
        own: Sequence[Sequence[float]] | torch.Tensor,
        benign: Sequence[Sequence[float]] | torch.Tensor | None = None,
        rule: str = "",
        participants: int = 0,
        round_number: int = 1,
    ) -> Broadcast:
        mine = torch.as_tensor(own, dtype=torch.float32)
        theirs = None if benign is None else torch.as_tensor(benign, dtype=torch.float32)
        return Broadcast(
            round_number=round_number,
            model=torch.zeros(mine.shape[1]),
            previous=None,
            architecture="lenet5",
            seed=3,
            hostile=tuple(range(1, 1 + 3 * len(mine), 3)),
            own=mine,
            benign=theirs,
            benign_indices=() if theirs is None else tuple(range(0, 3 * len(theirs), 3)),
            rule=rule,
            participants=participants,
        )

    return broadcast
