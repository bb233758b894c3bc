"""NORM= chooses how a model is normalised, and what that means for tests and for what is sent."""

import numpy as np
import pytest
import torch

from fedsiege import models
from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import ResolvedSpec, resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.inputs import Features, Image
from fedsiege.training.evaluation import Evaluator

COLOUR = Image(3, 32, 32, 10)
NORMALISED = ["mobilenet-v2", "resnet18", "resnet20", "vgg11"]


def resolved(**settings: object) -> ResolvedSpec:
    return resolve(ExperimentSpec.of({"dataset": "cifar10", "attack": 0, **settings}))


def test_the_parameter_of_every_normalised_model_is_filled_in() -> None:
    for model in NORMALISED:
        for norm in ("batch", "group", "local"):
            found = resolved(model=model, norm=norm)
            assert models.parse(found.spec.model).norm == norm
            assert resolve(found.spec).spec == found.spec, "resolving again changes nothing"
        assert resolved(model=model).spec.model == resolved(model=model, norm="batch").spec.model


def test_what_the_models_text_sets_is_kept_and_said() -> None:
    found = resolved(model="resnet20:norm=group", norm="local")
    assert found.spec.model == "resnet20:norm=group"
    assert "NORM=local has no effect: MODEL=resnet20:norm=group sets it" in found.notes


def test_a_model_without_normalisation_says_that_norm_has_no_effect() -> None:
    found = resolved(model="mlp", norm="group")
    assert "NORM=group has no effect: mlp has no normalisation to choose" in found.notes
    with pytest.raises(InvalidValue, match=r"NORM='layer' .* batch with running statistics, group"):
        resolved(model="mlp", norm="layer")


def test_only_batch_normalisation_sends_statistics() -> None:
    for model in NORMALISED:
        sent = {
            norm: models.size(of) - models.trained(of)
            for norm in ("batch", "group", "local")
            if (of := models.Classifier(f"{model}:norm={norm}", COLOUR))
        }
        assert sent["batch"] > 0, model
        assert sent["group"] == sent["local"] == 0, model


def test_local_statistics_are_tested_in_batches_that_are_always_the_same() -> None:
    of = models.Classifier("resnet20:norm=local", Image(1, 8, 8, 10))
    random = np.random.default_rng(0)
    samples = random.integers(256, size=(150, 8, 8), dtype=np.uint8)
    labels = random.integers(10, size=150)
    weights = models.random_weights(of, 0)
    evaluate = Evaluator(of, samples, labels)
    assert evaluate(weights) == evaluate(weights) == Evaluator(of, samples, labels)(weights)
    assert any(
        "others of its batch" in note for note in resolved(model="resnet20", norm="local").notes
    )
    other = np.argsort(labels)
    assert Evaluator(of, samples[other], labels[other])(weights).loss != evaluate(weights).loss


def test_groups_normalise_each_sample_by_itself() -> None:
    of = models.Classifier("resnet20:norm=group", Image(1, 8, 8, 10))
    module = of.create()
    images = torch.randn(5, 1, 8, 8)
    alone = torch.cat([module(image[None]) for image in images])
    assert torch.allclose(module(images), alone, atol=1e-5)


def test_models_refuse_inputs_that_they_cannot_take() -> None:
    cases = {
        "resnet20": (Image(3, 7, 7), "pictures of 8x8 or more"),
        "resnet18": (Features(4, 2), "pictures of 8x8 or more"),
        "vgg11": (Image(3, 28, 28), "pictures of 32x32 or more"),
        "mobilenet-v2": (Features(4, 2), "mobilenet-v2 takes pictures"),
        "char-lstm": (Image(), "sequences of tokens"),
    }
    for model, (inputs, takes) in cases.items():
        with pytest.raises(InvalidValue, match=takes):
            models.layout(models.Classifier(model, inputs))
    with pytest.raises(InvalidValue, match="mlp:hidden='20,10'"):
        models.registry.create("mlp", hidden="20,10")


def test_the_sizes_are_those_of_the_publications() -> None:
    sizes = {
        "resnet20": 269_722,  # of option A
        "resnet18": 11_173_962,
        "mobilenet-v2": 2_236_682,
        "vgg11:norm=none": 9_225_610,
    }
    for model, parameters in sizes.items():
        assert models.trained(models.Classifier(model, COLOUR)) == parameters, model
    large = models.Classifier("resnet18", Image(3, 64, 64, 1000))
    assert models.trained(large) == 11_689_512  # torchvision's
