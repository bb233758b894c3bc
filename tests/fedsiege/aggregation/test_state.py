"""A rule's memory survives being written down."""

from dataclasses import dataclass

import pytest
import torch

from fedsiege.aggregation import state
from fedsiege.errors import InvalidValue


@dataclass(frozen=True)
class Memory:
    history: torch.Tensor
    identities: torch.Tensor
    round_number: int
    scale: float
    note: str
    last: torch.Tensor | None


@dataclass(frozen=True)
class Other:
    history: torch.Tensor


MEMORY = Memory(torch.randn(3, 4).T, torch.tensor([1, 7]), 5, 0.1 + 0.2, "ünï", None)


def test_what_is_written_is_read_back_bit_for_bit() -> None:
    read = state.from_bytes(state.to_bytes(MEMORY), Memory)
    assert torch.equal(read.history, MEMORY.history)
    assert torch.equal(read.identities, MEMORY.identities)
    assert (read.round_number, read.scale, read.note, read.last) == (5, 0.1 + 0.2, "ünï", None)


@pytest.mark.parametrize("data", [b"", b"\x08" + bytes(20), state.to_bytes(Other(torch.ones(1)))])
def test_what_is_no_such_state_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidValue, match="state"):
        state.from_bytes(data, Memory)


def test_a_field_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"Other\.history"):
        state.to_bytes(Other([1]))  # type: ignore[arg-type]
