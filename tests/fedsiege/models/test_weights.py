"""The flat vector is the model's parameters, in order, and random weights are torch's defaults."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fedsiege import models, seeding
from fedsiege.errors import InvalidValue
from fedsiege.inputs import MNIST_LIKE


@pytest.mark.parametrize("name", models.names())
def test_layout_lists_the_parameters_in_the_order_of_the_vector(name: str) -> None:
    module = models.create(name)
    weights = models.flatten(module)
    assert [key for key, _ in models.layout(name)] == list(dict(module.named_parameters()))
    start = 0
    for (_, shape), parameter in zip(models.layout(name), module.parameters(), strict=True):
        end = start + parameter.numel()
        assert torch.equal(weights[start:end].reshape(shape), parameter)
        start = end
    assert start == models.size(name)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_flatten_undoes_unflatten_whatever_the_memory_format(
    memory_format: torch.memory_format,
) -> None:
    module = models.create("cnn").to(memory_format=memory_format)
    weights = torch.arange(models.size("cnn"), dtype=torch.float32)
    models.unflatten_into(module, weights)
    assert torch.equal(models.flatten(module), weights)


def test_a_module_keeps_its_weights_when_the_vector_changes() -> None:
    module = models.create("net")
    weights = models.random_weights("net", 0)
    models.unflatten_into(module, weights)
    kept = weights.clone()
    weights.zero_()
    assert torch.equal(models.flatten(module), kept)


@pytest.mark.parametrize("shape", [(13_105,), (13_107,), (1, 13_106), (0,)])
def test_a_vector_of_another_shape_is_refused_and_changes_nothing(shape: tuple[int, ...]) -> None:
    module = models.create("net")
    before = models.flatten(module)
    with pytest.raises(InvalidValue, match=r"this model takes the shape \(13106,\)"):
        models.unflatten_into(module, torch.zeros(shape))
    assert torch.equal(models.flatten(module), before)


@pytest.mark.parametrize("name", models.names())
def test_random_weights_are_torchs_default_initialisation(name: str) -> None:
    torch_seed = seeding.torch_generator(7, "initial weights").initial_seed()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed)
        expected = models.flatten(models.registry.create(name).build(MNIST_LIKE))
    assert torch.equal(models.random_weights(name, 7), expected)


def test_random_weights_depend_on_seed_and_purpose() -> None:
    draws = [
        models.random_weights("net", 0),
        models.random_weights("net", 1),
        models.random_weights("net", 0, "base model"),
    ]
    assert torch.equal(draws[0], models.random_weights("net", 0))
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_threads_that_draw_at_once_get_what_one_thread_gets() -> None:
    expected = [models.random_weights("net", seed) for seed in range(64)]
    with ThreadPoolExecutor(8) as threads:
        drawn = list(threads.map(lambda seed: models.random_weights("net", seed), range(64)))
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))
