"""What an aggregator knows of a round besides the updates."""

import operator
from collections.abc import Sequence, Sized
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fedsiege import models
from fedsiege.errors import UnfitRound
from fedsiege.rules.network import Network, input_shape_of, layout_of
from fedsiege.rules.updates import (
    Array,
    Form,
    Layout,
    Update,
    Updates,
    flatten,
    matrix_of,
    tensor_of,
)
from fedsiege.training.base import Shard

#: One whole number per row.
Counts: TypeAlias = Tensor | npt.NDArray[Any] | Sequence[int]


class Fact(NamedTuple):
    """What a rule can need to know of a round besides the updates.

    Attributes:
        meaning: what kind of thing it is, as text.
        example: how it is given to RoundContext.
    """

    meaning: str
    example: str


#: What a rule or a detector can need, by the name of the field of RoundContext.
FACTS = {
    "weights": Fact("the sample counts, one whole number per update", "weights=[600, 580, ..]"),
    "steps": Fact("the local steps, one whole number per update", "steps=[40, 40, ..]"),
    "participants": Fact(
        "the sender of each update, a whole number that stays the same in all rounds",
        "participants=[7, 2, ..]",
    ),
    "round_number": Fact("the number of the round, 1 or more", "round_number=1"),
    "model": Fact(
        "the global model that the updates start from: a torch module, or its weights as a vector, "
        "a list of layers or a state dict",
        "model=module",
    ),
    "layout": Fact(
        "name and shape of each tensor of the model; known where the updates or the model are "
        "lists of layers or state dicts, and from the architecture",
        'layout=[("fc.weight", (10, 20)), ..]',
    ),
    "architecture": Fact(
        "the network: a torch module, a function that builds one, or the name of a model",
        "architecture=module",
    ),
    "root": Fact(
        "clean samples of the aggregator's own: a pair of inputs and labels",
        "root=(inputs, labels)",
    ),
    "input_shape": Fact(
        "the shape of one input of the network; known where there are root samples, and from the "
        "name of a model",
        "input_shape=(1, 28, 28)",
    ),
}


@dataclass(frozen=True)
class RootSamples(Shard):
    """Clean samples of the aggregator's own, for a network that takes inputs of any shape.

    Attributes:
        images: ``(S, ..)`` floating point, the inputs.
        labels: ``(S,)`` int64, the classes.
    """

    def __post_init__(self) -> None:
        inputs, labels = self.images, self.labels
        if inputs.ndim < 2 or not inputs.is_floating_point():
            given = f"{inputs.dtype} {tuple(inputs.shape)}"
            raise UnfitRound(f"root inputs are {given}; wanted is floating point (samples, ..)")
        if labels.shape != inputs.shape[:1] or labels.dtype != torch.int64:
            given = f"{labels.dtype} {tuple(labels.shape)}"
            wanted = f"whole numbers, one class per input: ({len(inputs)},)"
            raise UnfitRound(f"root labels are {given}; wanted are {wanted}")


@dataclass(frozen=True, init=False)
class RoundContext:
    """Facts that some rules need; those that are not known are None or empty.

    Attributes:
        weights: ``(n,)`` whole numbers, the sample counts that the participants report.
        steps: ``(n,)`` whole numbers, the local steps that they report. Both are claims: rules that
            use them bound them.
        participants: ``(n,)`` int64, the sender of each row: the same number for the same identity
            in every round. Rules with a memory remember by it, never by position.
        round_number: 1 or more; 0 where there are no rounds.
        model: ``(d,)`` float32, the global model ``w_t`` that the updates start from.
        layout: name and shape of each tensor of the model, in the order of the flat vector.
        architecture: the network of the model.
        root: clean samples of the aggregator's own.
        seed: of the run; what a rule draws comes from it and the round.
        input_shape: the shape of one input of the network.
    """

    weights: Tensor | None
    steps: Tensor | None
    participants: Tensor | None
    round_number: int
    model: Tensor | None
    layout: Sequence[tuple[str, tuple[int, ...]]]
    architecture: Network
    root: Shard | None
    seed: int
    input_shape: tuple[int, ...]

    #: The fields that have a value for each row.
    PER_ROW: ClassVar[tuple[str, ...]] = ("weights", "steps", "participants")

    def __init__(
        self,
        weights: Counts | None = None,
        steps: Counts | None = None,
        participants: Counts | None = None,
        round_number: int = 0,
        model: nn.Module | Update | None = None,
        layout: Sequence[tuple[str, tuple[int, ...]]] = (),
        architecture: Network = "",
        root: Shard | tuple[Array, Array] | None = None,
        seed: int = 0,
        input_shape: Sequence[int] = (),
    ) -> None:
        """Take the facts in the kinds that people have them in.

        Args:
            weights: a list, numpy array or tensor.
            steps: likewise.
            participants: likewise; unsigned numbers of 64 bits stay apart, but may become negative.
            round_number: as above.
            model: the weights, in the kinds of an update (see ``updates``); or a module, which
                gives its network, too.
            layout: if empty, that of the network, or of a model that is not a vector.
            architecture: a module without buffers, a function that builds one, a Model, or the
                name of a model of the catalogue.
            root: a Shard, or inputs ``(S, ..)``, floating point, and labels ``(S,)``, whole
                numbers.
            seed: as above.
            input_shape: if empty, that of the root samples, or of the models of the catalogue.

        Raises:
            UnfitRound: a fact is of another kind.
            InvalidValue: an unknown name, or a module with buffers.
        """
        if isinstance(model, nn.Module) and not _known(architecture):
            architecture = model
        vector, layers = (None, ()) if model is None else _weights(model)
        samples = None if root is None else _samples(root)
        if not layout:
            layout = layout_of(architecture) if _known(architecture) else layers
        if not input_shape:
            known = input_shape_of(architecture) if _known(architecture) else ()
            input_shape = known if samples is None else samples.images.shape[1:]
        facts: dict[str, object] = {
            "weights": _counts("weights", weights),
            "steps": _counts("steps", steps),
            "participants": _counts("participants", participants),
            "round_number": round_number,
            "model": vector,
            "layout": layout,
            "architecture": architecture,
            "root": samples,
            "seed": seed,
            "input_shape": tuple(input_shape),
        }
        for name, value in facts.items():
            object.__setattr__(self, name, value)  # the dataclass is frozen

    def require(self, rule: str, *names: str) -> None:
        """Raise UnfitRound unless all of these are known; it says what they are."""
        missing = [name for name in names if not _known(getattr(self, name))]
        if missing:
            meanings = "; ".join(f"{name}: {FACTS[name].meaning}" for name in missing)
            # A module that is given as the model gives the architecture, too.
            given = set(missing) - ({"architecture"} if "model" in missing else set())
            examples = ", ".join(FACTS[name].example for name in missing if name in given)
            *others, last = missing
            listed = f"{', '.join(others)} and {last}" if others else last
            raise UnfitRound(
                f"{rule} needs to know the round's {listed} ({meanings}). "
                f"In Python: context=RoundContext({examples})"
            )

    def model_for(self, rule: str, updates: Tensor) -> Tensor:
        """Return ``(d,)`` float32, the global model, on the device of the updates ``(n, d)``.

        Raises:
            UnfitRound: it is not known, or of another size than the updates.
        """
        self.require(rule, "model")
        assert self.model is not None
        d = updates.shape[1]
        if self.model.shape != (d,):
            size = " x ".join(map(str, self.model.shape))
            raise UnfitRound(f"{rule}: a model of {size}, updates of {d}")
        return self.model.to(updates.device, torch.float32)

    def check(self, n: int) -> None:
        """Raise UnfitRound unless what there is for each row fits n rows."""
        for name in self.PER_ROW:
            values = getattr(self, name)
            if values is not None and (
                values.shape != (n,) or values.is_floating_point() or values.is_complex()
            ):
                raise UnfitRound(
                    f"{name} must be one whole number per row, {n}, "
                    f"not {values.dtype} {tuple(values.shape)}"
                )
        if self.participants is not None and len(set(self.participants.tolist())) < n:
            raise UnfitRound("participants: one of them has sent two rows")

    def of_rows(self, kept: Tensor) -> Self:
        """Return the context of some rows, by the identities that they have among all.

        Args:
            kept: ``(n,)`` bool on the CPU.
        """
        per_row = {
            field.name: value[kept.to(value.device)]
            for field in fields(self)
            if field.name in self.PER_ROW and (value := getattr(self, field.name)) is not None
        }
        # Also without identities: else the rows behind one that is left out would move up.
        return replace(self, **{"participants": self.identities(len(kept))[kept], **per_row})

    def identities(self, n: int) -> Tensor:
        """Return ``(n,)`` int64, the sender of each row; its position where senders are unknown."""
        return torch.arange(n) if self.participants is None else self.participants.cpu()


def received(
    updates: Updates, context: RoundContext, weights: Counts | None = None
) -> tuple[Tensor, RoundContext, Form[Any]]:
    """Return updates as a matrix ``(n, d)``, what is known of their round, and their kind.

    Args:
        updates: in any kind that is taken, see ``updates``.
        context: what is known of the round; the layout is added where the updates tell it.
        weights: the sample counts, in place of those of the context; None for these.

    Raises:
        UnfitRound: the updates are of no kind that is taken, or the context does not fit them.
    """
    matrix, form = matrix_of(updates)
    if weights is not None:
        context = replace(context, weights=_counts("weights", weights))
    if form.layout and not context.layout:
        context = replace(context, layout=form.layout)
    context.check(len(matrix))
    return matrix, context, form


def needs_of(component: Any) -> str:
    """Return what a class of rules or detectors needs besides the updates, for listings."""
    conditional = getattr(component, "needs_if", {})
    return ", ".join((*component.needs, *(f"{b} if {a}" for a, b in conditional.items())))


def _known(value: object) -> bool:
    """Return whether a fact is given."""
    if isinstance(value, Sized) and not isinstance(value, nn.Module):
        return len(value) > 0
    return value is not None


def _counts(name: str, values: Counts | None) -> Tensor | None:
    """Return whole numbers, one per row, as a tensor."""
    if values is None or isinstance(values, Tensor):
        return values
    several = values.tolist() if isinstance(values, np.ndarray) else values
    try:
        # By way of numpy, a large number beside a small one would become floating point.
        numbers = [operator.index(number) for number in several]
        if any(isinstance(number, bool) for number in several):
            raise TypeError
    except TypeError:
        raise UnfitRound(f"{name} must be one whole number per row, not {values!r}") from None
    if name == "participants":  # those of 64 bits without a sign wrap around, and stay apart
        numbers = [(number + 2**63) % 2**64 - 2**63 for number in numbers]
    try:
        return torch.tensor(numbers, dtype=torch.int64)
    except (OverflowError, RuntimeError, ValueError):
        allowed = f"{2**63 - 1} at most"
        raise UnfitRound(f"{name}: {max(numbers, key=abs)} is too large, {allowed}") from None


def _weights(model: nn.Module | Update) -> tuple[Tensor, Layout]:
    """Return the weights of a model as a vector ``(d,)``, and its layout, empty for a vector."""
    if isinstance(model, nn.Module):
        return models.flatten(model), ()
    if isinstance(model, Tensor):
        return model, ()
    vector, form = flatten(model, "model")
    return vector, form.layout


def _samples(root: Shard | tuple[Array, Array]) -> Shard:
    """Return root samples as a Shard."""
    if isinstance(root, Shard):
        return root
    if not isinstance(root, Sequence) or len(root) != 2:
        raise UnfitRound(
            f"root must be {FACTS['root'].meaning} (a tuple), not a {type(root).__name__}"
        )
    inputs, labels = tensor_of(root[0], "root inputs"), tensor_of(root[1], "root labels")
    return RootSamples(inputs, labels if labels.is_floating_point() else labels.long())
