"""The test of a model on held-out samples."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedsiege import datasets, models
from fedsiege.errors import InvalidValue
from fedsiege.metrics import class_recall

#: Samples at a time. Measured on one thread: 100 to 500 are equally fast for all models, from 1,000
#: on the activations fall out of the cache and it takes two to three times as long.
_BATCH = 100
#: Test sets up to this many bytes as float32 are kept ready; MNIST's 10,000 images take 31 MB.
_KEPT_READY = 64 * 2**20


@dataclass(frozen=True)
class Score:
    """The result of a model on the held-out samples.

    Attributes:
        accuracy: share of the samples classified correctly, 0 to 1.
        loss: mean cross entropy, in nats; infinite or NaN for a destroyed model.
        confusion: ``(C, C)`` int64 on the CPU, samples by true class (row) and predicted class
            (column); a sample with a NaN among its logits is in no column. Empty if the model was
            not tested.
        class_samples: ``(C,)`` int64 on the CPU, samples of each class.
    """

    accuracy: float
    loss: float
    confusion: Tensor = field(default_factory=lambda: _counts(0, 0), compare=False)
    class_samples: Tensor = field(default_factory=lambda: _counts(0), compare=False)

    @property
    def recall(self) -> Tensor:
        """``(C,)`` float64, the share of each class classified correctly; NaN without samples."""
        return torch.from_numpy(class_recall(self.confusion.numpy(), self.class_samples.numpy()))


class Evaluator:
    """Tests weights of one model on one set of samples.

    Memory beyond the samples is bounded by one batch. Calls from several threads are serialised.

    Args:
        model: the model, for the inputs that the samples become.
        samples: ``(M, ...)`` as the data set stores them.
        labels: ``(M,)`` integers, 0 to classes - 1.
        device: where to compute, "cpu" or "cuda".
        preparation: turns samples into what the model takes.

    Raises:
        InvalidValue: unknown model, no samples, or not as many labels as samples.
    """

    def __init__(
        self,
        model: models.Named,
        samples: npt.NDArray[Any],
        labels: npt.NDArray[np.int64],
        device: str = "cpu",
        preparation: Callable[[npt.NDArray[Any]], Tensor] = datasets.to_tensor,
    ) -> None:
        if len(samples) == 0 or len(samples) != len(labels):
            allowed = f"one per sample, and there are {len(samples)}"
            raise InvalidValue("labels", len(labels), allowed)
        models.check_shapes(model)
        self._device = torch.device(device)
        self._module = _for_inference(models.create(model)).to(self._device)
        self._samples, self._prepare = samples, preparation
        self._labels = torch.from_numpy(labels.astype(np.int64)).to(self._device)
        values = math.prod(models.classifier(model).inputs.shape)
        kept = 4 * values * len(samples) <= _KEPT_READY
        self._ready = self._prepare(samples).to(self._device) if kept else None
        self._turn = threading.Lock()

    def __call__(self, weights: Tensor) -> Score:
        """Test weights ``(d,)`` and return their score.

        Weights may have any value. If logits overflow, the class of the largest logit is the
        prediction. A sample with a NaN among its logits counts as wrong.

        Raises:
            InvalidValue: the weights do not have the shape of the model.
        """
        predictions = torch.empty_like(self._labels)
        classes = 0
        loss = torch.zeros((), dtype=torch.float64, device=self._device)
        with self._turn, torch.inference_mode():
            models.unflatten_into(self._module, weights)
            for start in range(0, len(self._labels), _BATCH):
                labels = self._labels[start : start + _BATCH]
                logits = self._module(self._batch(start))
                classes = logits.shape[1]
                undefined = logits.isnan().any(dim=1)
                predicted = logits.argmax(dim=1).masked_fill_(undefined, classes)
                predictions[start : start + _BATCH] = predicted
                loss += F.cross_entropy(logits, labels, reduction="sum")
        # Count pairs of label and prediction; the last column holds undefined predictions.
        pairs = self._labels * (classes + 1) + predictions
        counts = pairs.bincount(minlength=classes * (classes + 1)).view(classes, classes + 1).cpu()
        confusion = counts[:, :classes].contiguous()
        total = len(self._labels)
        return Score(
            accuracy=int(confusion.trace()) / total,
            loss=float(loss) / total,
            confusion=confusion,
            class_samples=counts.sum(dim=1),
        )

    def _batch(self, start: int) -> Tensor:
        if self._ready is not None:
            return self._ready[start : start + _BATCH]
        return self._prepare(self._samples[start : start + _BATCH]).to(self._device)


def _counts(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.int64)


class _MaxPool2(nn.Module):
    """Max pooling of 2x2 blocks: the same values as ``nn.MaxPool2d(2)``, up to 50 times faster.

    PyTorch's own also works out where each maximum is, which only training needs.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(n, c, h / 2, w / 2)`` of ``(n, c, h, w)``."""
        if images.shape[-2] % 2 or images.shape[-1] % 2:
            return F.max_pool2d(images, 2)
        rows = torch.maximum(images[..., ::2, :], images[..., 1::2, :])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


def _for_inference(module: nn.Module) -> nn.Module:
    """Return the module in eval mode, with faster pooling and layout of convolution weights.

    With the channels innermost, oneDNN is twice as fast on ``cnn`` and a fifth faster on
    ``lenet5``. With a single input channel, as everywhere in ``net``, it would be slower.
    """
    usual = nn.MaxPool2d(2)
    for name, child in list(module.named_modules()):
        if isinstance(child, nn.MaxPool2d) and str(child) == str(usual):
            module.set_submodule(name, _MaxPool2())
    for parameter in module.parameters():
        if parameter.ndim == 4 and parameter.shape[1] > 1:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module.eval()
