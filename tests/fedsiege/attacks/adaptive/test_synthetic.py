"""Synthetic training: real steps of SGD, without data."""

import pytest
import torch

from fedsiege import models
from fedsiege.attacks import Broadcast
from fedsiege.attacks.adaptive.synthetic import (
    SAMPLES,
    SGD,
    synthetic_images,
    synthetic_steps,
    wrong_labels,
)


@pytest.fixture
def broadcast() -> Broadcast:
    return Broadcast(3, models.random_weights("net", 4), None, "net", 4)


def test_images_are_noise_within_the_range_of_pixels_and_stay_through_the_run() -> None:
    images = synthetic_images(4, 1)
    assert images.shape == (SAMPLES, 1, 28, 28)
    assert images.dtype == torch.float32
    assert -1 <= images.min() < -0.99
    assert 0.99 < images.max() <= 1
    assert images.mean().abs() < 0.05
    assert torch.equal(images, synthetic_images(4, 1))
    assert not torch.equal(images, synthetic_images(4, 2))
    assert not torch.equal(images, synthetic_images(5, 1))


def test_a_wrong_label_is_the_class_after_the_one_that_the_model_sees() -> None:
    logits = torch.eye(10)[[0, 3, 9]]
    assert wrong_labels(torch.nn.Identity(), logits).tolist() == [1, 4, 0]


def test_one_step_is_the_gradient_of_the_loss_by_autograd(broadcast, monkeypatch) -> None:
    """With one batch and one epoch, the update is -learning rate * gradient."""
    single = type(SGD)(learning_rate=0.5, momentum=0.0, epochs=1, batch_size=SAMPLES)
    monkeypatch.setattr("fedsiege.attacks.adaptive.synthetic.SGD", single)
    module = models.create("net")
    models.unflatten_into(module, broadcast.model)
    images = synthetic_images(4, 7)
    loss = torch.nn.functional.cross_entropy(module(images), wrong_labels(module, images))
    gradient = torch.autograd.grad(loss, list(module.parameters()))
    expected = -0.5 * torch.cat([part.flatten() for part in gradient])
    torch.testing.assert_close(synthetic_steps(broadcast, [7])[0], expected, atol=1e-6, rtol=1e-4)


def test_the_model_turns_to_the_wrong_labels(broadcast) -> None:
    module = models.create("net")
    models.unflatten_into(module, broadcast.model)
    images = synthetic_images(4, 7)
    labels = wrong_labels(module, images)
    before = torch.nn.functional.cross_entropy(module(images), labels)
    models.unflatten_into(module, broadcast.model + synthetic_steps(broadcast, [7])[0])
    assert torch.nn.functional.cross_entropy(module(images), labels) < before


def test_who_trains_beside_whom_changes_nothing(broadcast) -> None:
    together = synthetic_steps(broadcast, [2, 7, 9])
    apart = [synthetic_steps(broadcast, part) for part in ([2], [7, 9])]
    assert torch.equal(together, torch.cat(apart))
    assert not torch.equal(together[0], together[1])
    assert synthetic_steps(broadcast, []).shape == (0, 13_106)
