"""What the engine reads from a module, and what it refuses."""

from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedsiege import models
from fedsiege.errors import InvalidValue
from fedsiege.training.choice import resolve_auto
from fedsiege.training.cohort.graph import trace
from tests.cases import each
from tests.classifiers import classifiers


class Function(nn.Module):
    """A convolution, then whatever is to be tried, then logits."""

    def __init__(self, function, **modules):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.function = function
        self.output = nn.Linear(2, 10)
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, images):
        return self.function(self, self.conv(images))


def finish(self, x):
    return self.output(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def names(module):
    return [call.name for call in trace(module).calls]


def test_every_model_can_be_read():
    for of in classifiers():
        module = of.create()
        if resolve_auto(module)[0] == "loop":
            continue  # test_choice.py says which
        graph = trace(module)
        assert not graph.unused, of
        shapes = tuple((key, tuple(shape)) for key, shape in graph.shapes.items())
        assert shapes == models.layout(of), of


def test_max_pooling_comes_before_relu():
    assert names(models.create("net"))[:7] == [
        "conv1 (Conv2d)",
        "pool1 (MaxPool2d)",
        "relu1 (ReLU)",
        "conv2 (Conv2d)",
        "pool2 (MaxPool2d)",
        "relu2 (ReLU)",
        "flatten (Flatten)",
    ]


def test_functions_are_read_like_modules():
    module = Function(lambda self, x: finish(self, F.max_pool2d(torch.relu(x), 2)))
    assert [name.split("(")[1] for name in names(module)] == [
        "Conv2d)",
        "max_pool2d)",
        "relu)",
        "adaptive_avg_pool2d)",
        "flatten)",
        "Linear)",
    ]


def test_a_relu_that_others_use_stays_before_the_pooling():
    def function(self, x):
        x = F.relu(x)
        return finish(self, F.max_pool2d(x, 2)) + finish(self, x)

    with pytest.raises(InvalidValue, match="shares its parameters"):
        trace(Function(function))

    def without_sharing(self, x):
        x = F.relu(x)
        return self.other(F.max_pool2d(x, 2).flatten(1)) + finish(self, x)

    read = names(Function(without_sharing, other=nn.Linear(8, 10)))
    assert read.index("relu (relu)") < read.index("max_pool2d (max_pool2d)")


def test_unused_operations_are_left_out():
    def function(self, x):
        torch.linalg.svd(x)
        return finish(self, x)

    graph = trace(Function(function, spare=nn.Linear(2, 3)))
    assert len(graph.calls) == 4
    assert graph.unused == {"spare.weight", "spare.bias"}


@pytest.mark.parametrize(
    "rows",
    [
        lambda x: x.view(x.size(0), -1),
        lambda x: x.view(x.shape[0], 2),
        lambda x: x.reshape((-1, 2)),
        lambda x: x.reshape(x.size()[0], -1),
        lambda x: x.flatten(1),
        lambda x: x.flatten(start_dim=1),
        lambda x: torch.flatten(x, 1, -1),
    ],
)
def test_ways_to_flatten(rows):
    graph = trace(Function(lambda self, x: self.output(rows(F.adaptive_avg_pool2d(x, 1)))))
    assert len(graph.calls) == 4


@each(
    "rows",
    [
        lambda x: x.view(-1, -1),
        lambda x: x.view(4, -1),
        lambda x: x.view(x.size(1), -1),
        lambda x: x.view(-1, x.size(1)),
        lambda x: x.view(-1, 2, 1),
        lambda x: x.flatten(),
        lambda x: x.flatten(2),
        lambda x: torch.flatten(x, 1, 2),
        torch.flatten,
    ],
)
def test_other_shapes_are_refused(rows):
    with pytest.raises(InvalidValue, match=r"layer='(view|flatten)"):
        trace(Function(lambda self, x: self.output(rows(F.adaptive_avg_pool2d(x, 1)))))


def sequence(**modules):
    return nn.Sequential(OrderedDict(**modules, flatten=nn.Flatten(), fc=nn.Linear(784, 10)))


@each(
    ("layer", "reason"),
    [
        (nn.PReLU(), "not among the layers that the engine knows"),
        (nn.Softmax(1), "not among the layers that the engine knows"),
        (nn.ConvTranspose2d(1, 1, 1), "not among the layers that the engine knows"),
        (nn.InstanceNorm2d(1), "not among the layers that the engine knows"),
        (nn.Dropout(0.5), "it drops at random"),
        (nn.Dropout2d(0.1), "it drops at random"),
        (nn.Conv2d(1, 1, 3, padding="same"), "padding='same'"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect'"),
        (nn.BatchNorm2d(1).eval(), "it is in eval mode"),
        (nn.MaxPool2d(1, return_indices=True), "return_indices"),
        (nn.Linear(28, 28), "it takes rows, not images"),
    ],
)
def test_a_layer_that_the_engine_cannot_run_is_named(layer, reason):
    with pytest.raises(InvalidValue) as error:
        trace(sequence(tried=layer))
    assert error.value.name == "layer"
    assert error.value.value == f"tried ({type(layer).__name__})"
    assert reason in error.value.allowed


@pytest.mark.parametrize("layer", [nn.Dropout(0.5).eval(), nn.Dropout(0.0), nn.Identity()])
def test_layers_that_do_nothing_are_known(layer):
    assert names(sequence(tried=layer))[0].startswith("tried")


@each(
    ("function", "reason"),
    [
        (lambda self, x: finish(self, F.dropout(x)), "it drops at random"),
        (lambda self, x: finish(self, F.dropout(x, 0.1, self.training)), "it drops at random"),
        (lambda self, x: finish(self, x + 1), "must get 2 tensor"),
        (lambda self, x: finish(self, torch.add(x, x, alpha=2)), "only x \\+ y"),
        (lambda self, x: finish(self, x * x), "not among the layers that the engine knows"),
        (
            lambda self, x: finish(self, x + self.conv.bias),
            "not among the layers that the engine knows",
        ),
        (lambda self, x: finish(self, F.max_pool2d(x, x.size(0))), "computed on the way"),
        (lambda self, x: finish(self, F.max_pool2d(x, x.size(2))), "computed on the way"),
        (lambda self, x: finish(self, x.relu_() + x), "overwrites a value"),
        (lambda self, x: finish(self, F.relu(x, inplace=True) + x), "overwrites a value"),
        (lambda self, x: x, "logits"),
        (lambda self, x: (finish(self, x), x), "one tensor of logits"),
        (lambda self, x: finish(self, x) if x.sum() > 0 else x, "torch.fx cannot follow"),
    ],
)
def test_a_forward_pass_that_the_engine_cannot_run_is_refused(function, reason):
    with pytest.raises(InvalidValue, match=reason):
        trace(Function(function))


def test_parameters_that_two_layers_share_are_refused():
    twice = nn.Conv2d(1, 1, 3, padding=1)
    with pytest.raises(InvalidValue, match=r"once \(Conv2d\).*shares its parameters"):
        trace(sequence(once=twice, relu=nn.ReLU(), again=twice))
    tied = sequence(a=nn.Conv2d(1, 1, 1), b=nn.Conv2d(1, 1, 1))
    tied.b.weight = tied.a.weight
    with pytest.raises(InvalidValue, match=r"b \(Conv2d\).*shares its parameters"):
        trace(tied)
