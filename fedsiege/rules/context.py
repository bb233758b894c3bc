"""What an aggregator knows of a round besides the updates."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.training.base import Shard


@dataclass(frozen=True)
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
        architecture: the name of the model.
        root: clean samples of the aggregator's own.
        seed: of the run; what a rule draws comes from it and the round.
    """

    weights: Tensor | None = None
    steps: Tensor | None = None
    participants: Tensor | None = None
    round_number: int = 0
    model: Tensor | None = None
    layout: Sequence[tuple[str, tuple[int, ...]]] = ()
    architecture: str = ""
    root: Shard | None = None
    seed: int = 0

    def require(self, rule: str, *names: str) -> None:
        """Raise UnfitRound unless all of these are known."""
        missing = [n for n in names if getattr(self, n) is None or len(getattr(self, n)) == 0]
        if missing:
            raise UnfitRound(f"{rule} needs to know the round's {' and '.join(missing)}")

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
        for name in ("weights", "steps", "participants"):
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
            if field.name in ("weights", "steps", "participants")
            and (value := getattr(self, field.name)) is not None
        }
        # Also without identities: else the rows behind one that is left out would move up.
        return replace(self, **{"participants": self.identities(len(kept))[kept], **per_row})

    def identities(self, n: int) -> Tensor:
        """Return ``(n,)`` int64, the sender of each row; its position where senders are unknown."""
        return torch.arange(n) if self.participants is None else self.participants.cpu()
