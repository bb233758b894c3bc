"""A score is what a plain loop over the samples says, also for a model that an attack destroyed."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional as F

from fedsiege import datasets, models
from fedsiege.errors import InvalidValue
from fedsiege.training import evaluation
from fedsiege.training.evaluation import Evaluator, Score
from tests.cases import each
from tests.classifiers import classifiers, samples

COUNT = 237  # the last batch is not full
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 28, 28), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(0, 10, COUNT)


def with_last_bias(value: float, label: int) -> torch.Tensor:
    """Weights of net that give each image the same finite logits but for one label."""
    weights = torch.zeros(models.size("net"))
    weights[-10 + label] = value
    return weights


@pytest.mark.parametrize("of", classifiers(), ids=str)
def test_a_score_equals_that_of_a_plain_loop(of: models.Classifier) -> None:
    weights = 2 * models.random_weights(of, 4)
    weights[models.trained(of) :] += 0.3  # running means and variances that are no defaults
    module = of.create().eval()
    models.unflatten_into(module, weights)
    inputs = samples(of.inputs, COUNT)
    with torch.inference_mode():
        logits = torch.cat([module(part) for part in inputs.split(31)])
    score = Evaluator(of, inputs.numpy(), LABELS, preparation=torch.from_numpy)(weights)
    labels = torch.from_numpy(LABELS)
    counts = torch.zeros(10, 10, dtype=torch.int64)
    for label, predicted in zip(LABELS, logits.argmax(1), strict=True):
        counts[label, predicted] += 1
    assert torch.equal(score.confusion, counts)
    assert torch.equal(score.class_samples, counts.sum(1))
    assert torch.equal(score.recall, counts.diag() / counts.sum(1).double())
    assert score.accuracy == int((logits.argmax(1) == labels).sum()) / COUNT
    assert score.loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)


def test_a_large_test_set_is_converted_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = models.random_weights("net", 4)
    ready = Evaluator("net", IMAGES, LABELS)(weights)
    converted: list[int] = []

    def to_tensor(images: npt.NDArray[np.uint8]) -> torch.Tensor:
        converted.append(len(images))
        return datasets.to_tensor(images)

    monkeypatch.setattr(evaluation, "_KEPT_READY", 0)
    assert Evaluator("net", IMAGES, LABELS, preparation=to_tensor)(weights) == ready
    assert sum(converted) == COUNT
    assert max(converted) < COUNT


def test_one_evaluator_scores_many_models() -> None:
    evaluator = Evaluator("net", IMAGES, LABELS)
    first = evaluator(with_last_bias(1.0, 3))
    assert evaluator(with_last_bias(1.0, 5)) != first
    assert evaluator(with_last_bias(1.0, 3)) == first


def test_the_class_of_an_infinite_logit_counts() -> None:
    score = Evaluator("net", IMAGES, LABELS)(with_last_bias(float("inf"), 3))
    assert score.accuracy == np.mean(LABELS == 3)
    assert not math.isfinite(score.loss)


def test_a_sample_with_an_undefined_logit_counts_as_wrong() -> None:
    # argmax alone would answer with the undefined class and be right on its samples.
    score = Evaluator("net", IMAGES, LABELS)(with_last_bias(float("nan"), 3))
    assert score.accuracy == 0
    assert math.isnan(score.loss)
    assert not score.confusion.any(), "it is no prediction of any class"
    assert score.class_samples.sum() == COUNT
    assert not score.recall.any()


@each("of", classifiers())
@each("factor", [1e6, 1e20, 1e38, float("nan"), float("inf"), -1.0])
def test_destroyed_weights_never_crash(of: models.Classifier, factor: float) -> None:
    inputs = samples(of.inputs, 20).numpy()
    evaluator = Evaluator(of, inputs, LABELS[:20], preparation=torch.from_numpy)
    assert 0 <= evaluator(factor * models.random_weights(of, 0)).accuracy <= 1


def test_a_class_without_samples_has_no_recall() -> None:
    score = Evaluator("net", IMAGES[:4], np.array([3, 3, 3, 5]))(with_last_bias(1.0, 3))
    assert score.confusion[3].tolist() == [0, 0, 0, 3, 0, 0, 0, 0, 0, 0]
    assert score.confusion[5, 3] == 1
    assert score.recall[[3, 5]].tolist() == [1, 0]
    assert score.recall.isnan().sum() == 8


def test_a_model_that_was_not_tested_has_no_confusion() -> None:
    assert Score(math.nan, math.nan).confusion.shape == (0, 0)
    assert len(Score(math.nan, math.nan).recall) == 0


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(InvalidValue, match=r"takes the shape \(13106,\)"):
        Evaluator("net", IMAGES, LABELS)(models.random_weights("cnn", 0))


@pytest.mark.parametrize("count", [0, COUNT - 1])
def test_each_sample_needs_a_label_and_there_must_be_one(count: int) -> None:
    with pytest.raises(InvalidValue, match="one per sample"):
        Evaluator("net", IMAGES if count else IMAGES[:0], LABELS[:count])


def test_pooling_where_a_model_is_only_tested_gives_the_usual_values() -> None:
    generator = torch.Generator().manual_seed(0)
    for height, width in ((4, 6), (5, 4), (24, 24), (7, 7)):
        images = torch.randn(3, 2, height, width, generator=generator)
        images[0, 0, 0, 1], images[1, 1, 2, 2] = torch.nan, torch.inf
        for layout in (torch.contiguous_format, torch.channels_last):
            laid_out = images.contiguous(memory_format=layout)
            usual, found = torch.nn.MaxPool2d(2)(laid_out), evaluation._MaxPool2()(laid_out)
            case = f"{height}x{width}, {layout}"
            assert torch.equal(usual.nan_to_num(7.0), found.nan_to_num(7.0)), case
            assert usual.isnan().sum() == found.isnan().sum() == 1, case
            assert usual.is_contiguous(memory_format=layout) == found.is_contiguous(
                memory_format=layout
            ), case
