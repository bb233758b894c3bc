"""A rule's memory survives being written down."""

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import save

from fedsiege.errors import InvalidValue
from fedsiege.rules import state


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


def test_the_same_state_gives_the_same_bytes_in_every_process() -> None:
    code = (
        "import torch; from dataclasses import make_dataclass\n"
        "from fedsiege.rules import state\n"
        "values = [torch.ones(3), 2, torch.zeros(2), 'x', 0.5, None, 7]\n"
        "found = state.to_bytes(make_dataclass('M', 'abcdefg')(*values))\n"
    )
    here: dict[str, bytes] = {}
    exec(code, here)
    there = subprocess.run(
        [sys.executable, "-c", code + "print(found.hex())"],
        env={**os.environ, "PYTHONHASHSEED": "1"},  # pytest's own is another
        capture_output=True,
        text=True,
        check=True,
    )
    assert bytes.fromhex(there.stdout) == here["found"]


@pytest.mark.parametrize("data", [b"", b"\x08" + bytes(20), state.to_bytes(Other(torch.ones(1)))])
def test_what_is_no_such_state_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidValue, match="state"):
        state.from_bytes(data, Memory)


@pytest.mark.parametrize("missing", [1, 8, 100])
def test_a_state_that_was_cut_off_is_refused(missing: int) -> None:
    with pytest.raises(InvalidValue, match="state"):
        state.from_bytes(state.to_bytes(MEMORY)[:-missing], Memory)


def test_a_file_that_does_not_say_what_state_it_is_is_refused() -> None:
    data = save({"history": torch.ones(1)}, metadata={"about": '{"plain": {}}'})
    with pytest.raises(InvalidValue, match="state"):
        state.from_bytes(data, Other)


def test_a_field_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"Other\.history"):
        state.to_bytes(Other([1]))  # type: ignore[arg-type]
