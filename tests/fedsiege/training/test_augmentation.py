"""Pictures are varied in local training, the same on every worker and in both trainers."""

from pathlib import Path

import pytest
import torch

from fedsiege import models
from fedsiege.errors import InvalidValue
from fedsiege.training import hosted
from fedsiege.training.augmentation import Augmentation, vary
from fedsiege.training.hosted import LocalTraining
from fedsiege.training.optimiser import LocalSGD

SGD = LocalSGD(learning_rate=0.05, epochs=3, batch_size=5)


def training(augment: str, *, dataset: str = "digits", samples: int = 8) -> LocalTraining:
    return LocalTraining(
        "lenet5", dataset, Path("nowhere"), "sample", samples, 6, 1, SGD, augment=augment
    )


def updates(augment: str, indices: list[int], trainer: str, samples: int = 8) -> torch.Tensor:
    local = training(augment, samples=samples)
    local.prepare(indices, trainer)
    weights = models.flatten(models.create(local.classifier))
    return torch.cat([rows for _, rows in local.updates(2, weights, indices)])


def test_a_picture_is_moved_and_mirrored() -> None:
    image = torch.arange(1.0, 13).view(1, 1, 3, 4)
    moves = torch.tensor([[0, 0], [1, 0], [0, -2], [1, 1]])
    flips = torch.tensor([False, False, False, True])
    made = vary(image.expand(4, 1, 3, 4), moves, flips, (-1.0,))[:, 0].tolist()
    assert made[0] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert made[1] == [[-1, -1, -1, -1], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert made[2] == [[3, 4, -1, -1], [7, 8, -1, -1], [11, 12, -1, -1]]
    assert made[3] == [[-1, -1, -1, -1], [3, 2, 1, -1], [7, 6, 5, -1]]


def test_black_may_differ_by_channel() -> None:
    made = vary(torch.zeros(1, 2, 2, 2), torch.tensor([[1, 0]]), torch.tensor([False]), (5.0, 6.0))
    assert made[0, :, 0].tolist() == [[5, 5], [6, 6]]


def test_draws_depend_on_seed_round_participant_and_epoch_alone() -> None:
    both = Augmentation.parse("crop/flip")
    shape = (50, 3, 32, 32)
    moves, flips = both.draw(1, 2, 3, shape, 2)
    assert moves.abs().max() == 4
    assert 0.3 < flips.double().mean() < 0.7
    first, _ = both.draw(1, 2, 3, shape, 1)
    assert torch.equal(first, moves[:50])
    assert not torch.equal(moves[:50], moves[50:])
    for other in ((0, 2, 3), (1, 1, 3), (1, 2, 4)):
        assert not torch.equal(first, both.draw(*other, shape, 1)[0])
    assert not Augmentation.parse("flip").draw(1, 2, 3, shape, 2)[0].any()
    assert not Augmentation.parse("crop").draw(1, 2, 3, shape, 2)[1].any()


def test_both_trainers_and_every_division_over_workers_agree() -> None:
    for augment in ("", "crop", "crop/flip"):
        loop = updates(augment, [0, 1, 2, 4], "loop")
        cohort = updates(augment, [0, 1, 2, 4], "cohort")
        assert torch.allclose(loop, cohort, atol=1e-6), augment
        parts = [updates(augment, part, "loop") for part in ([0, 2], [1], [4])]
        assert torch.equal(torch.cat(parts), loop[[0, 2, 1, 3]]), augment
    assert not torch.allclose(updates("crop", [0], "loop"), updates("", [0], "loop"), atol=1e-4)


def test_inputs_made_when_they_are_needed_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for trainer in ("loop", "cohort"):
        for augment in ("", "crop/flip"):
            ready = updates(augment, [0, 1, 2], trainer)
            with monkeypatch.context() as patched:
                patched.setattr(hosted, "_KEPT_READY", 0)
                lazy = updates(augment, [0, 1, 2], trainer)
                patched.setattr("fedsiege.training.inputs.AT_ONCE", 0)
                by_batch = updates(augment, [0, 1, 2], trainer)
            assert torch.equal(ready, lazy), (trainer, augment)
            assert torch.equal(ready, by_batch), (trainer, augment)


def test_a_worker_keeps_few_inputs_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "_KEPT_READY", 3 * 8 * 784 * 4)
    local = training("")
    local.load(range(6))
    kinds = [type(local._shards[index].images).__name__ for index in range(6)]
    assert kinds == ["Tensor"] * 3 + ["StoredInputs"] * 3


def test_what_cannot_be_varied_is_refused() -> None:
    with pytest.raises(InvalidValue, match="crop, flip, crop/flip, or empty"):
        training("turn")
    with pytest.raises(InvalidValue, match="breast-cancer has no pictures"):
        LocalTraining("mlp", "breast-cancer", Path("x"), "sample", 4, 6, 1, SGD, augment="flip")
