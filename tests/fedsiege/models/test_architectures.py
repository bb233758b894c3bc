"""The architectures are those of the publications; making one disturbs no random draws."""

import pytest
import torch

from fedsiege import models
from fedsiege.errors import InvalidValue
from tests.classifiers import classifiers, samples


@pytest.mark.parametrize(
    ("name", "parameters"), [("net", 13_106), ("lenet5", 44_426), ("cnn", 139_960)]
)
def test_parameter_counts_are_the_published_ones(name: str, parameters: int) -> None:
    assert models.size(name) == parameters
    assert sum(p.numel() for p in models.create(name).parameters()) == parameters


@pytest.mark.parametrize("of", classifiers(), ids=str)
def test_samples_become_logits(of: models.Classifier) -> None:
    assert of.create()(samples(of.inputs, 3)).shape == (3, 10)


def test_net_is_the_seed_projects_layer_by_layer() -> None:
    kinds = [type(layer).__name__ for layer in models.create("net").children()]
    block = ["Conv2d", "ReLU", "MaxPool2d"]
    dense = ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert kinds == [*block, *block, "Flatten", *dense]


def test_unknown_name_says_which_are_near_and_which_there_are() -> None:
    with pytest.raises(
        InvalidValue, match=r"model='lenet'.*did you mean lenet5.*cnn, .*lenet5, .*net"
    ):
        models.create("lenet")


@pytest.mark.parametrize("of", classifiers(), ids=str)
def test_making_modules_leaves_the_global_generator_alone(of: models.Classifier) -> None:
    before = torch.random.get_rng_state()
    of.create()
    models.random_weights(of, 1)
    models.base._tensors.cache_clear()
    models.layout(of)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_created_modules_do_not_depend_on_the_global_generator() -> None:
    with torch.random.fork_rng(devices=[]):
        first = models.flatten(models.create("net"))
        torch.manual_seed(99)
        assert torch.equal(models.flatten(models.create("net")), first)
