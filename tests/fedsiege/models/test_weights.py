"""The flat vector is the model's parameters, in order, and random weights are torch's defaults."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fedsiege import models, seeding
from fedsiege.errors import InvalidValue
from tests.classifiers import classifiers


@pytest.mark.parametrize("of", classifiers(), ids=str)
def test_layout_lists_parameters_and_then_buffers_in_the_order_of_the_vector(
    of: models.Classifier,
) -> None:
    module = of.create()
    weights = models.flatten(module)
    parameters, buffers = dict(module.named_parameters()), dict(module.named_buffers())
    carried = {key: value for key, value in buffers.items() if value.is_floating_point()}
    layout = models.layout(of)
    assert [key for key, _ in layout] == [*parameters, *carried]
    start = 0
    for (_, shape), value in zip(layout, [*parameters.values(), *carried.values()], strict=True):
        end = start + value.numel()
        assert torch.equal(weights[start:end].reshape(shape), value)
        start = end
    assert start == models.size(of)
    assert models.trained(of) == sum(value.numel() for value in parameters.values())


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


@pytest.mark.parametrize("of", classifiers(), ids=str)
def test_random_weights_are_those_that_the_module_is_built_with(of: models.Classifier) -> None:
    torch_seed = seeding.torch_generator(7, "initial weights").initial_seed()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed)
        expected = models.flatten(models.registry.create(of.model).build(of.inputs))
    assert torch.equal(models.random_weights(of, 7), expected)


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
