"""The kinds of updates that rules and detectors take, and what they give back."""

import copy
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fedsiege import detectors, rules
from fedsiege.errors import UnfitRound
from fedsiege.rules import FedAvg, Krum, Median, RoundContext
from fedsiege.rules.updates import Form, matrix_of
from tests.cases import each

#: Shapes of the layers of an update: a matrix, a vector, a single number, filters.
SHAPES = {"fc.weight": (3, 2), "fc.bias": (3,), "scale": (), "conv": (2, 1, 2, 2)}
N, D = 9, 6 + 3 + 1 + 8
MATRIX = torch.randn(N, D, generator=torch.Generator().manual_seed(0))
TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def layers_of(row: Tensor) -> dict[str, Tensor]:
    """Return a flat update as named layers."""
    pieces = torch.split(row, [torch.Size(shape).numel() for shape in SHAPES.values()])
    return {
        name: piece.view(shape) for (name, shape), piece in zip(SHAPES.items(), pieces, strict=True)
    }


def flat(update: Any) -> Tensor:
    """Return an update of any kind as a float32 vector."""
    if isinstance(update, Tensor | np.ndarray):
        return torch.as_tensor(update).float().reshape(-1)
    layers = update.values() if isinstance(update, dict) else update
    return torch.cat([flat(layer) for layer in layers])


def state_dicts(dtype: torch.dtype = torch.float32) -> list[OrderedDict[str, Tensor]]:
    """Return the updates as state dicts with an entry of whole numbers, as BatchNorm has."""
    made = []
    for row in MATRIX.to(dtype):
        state = OrderedDict(layers_of(row))
        state["bn.num_batches_tracked"] = torch.tensor(7)
        state.move_to_end("conv")
        made.append(state)
    return made


def flowers() -> list[list[Any]]:
    """Return the updates as Flower's lists of layers."""
    return [[layer.numpy() for layer in layers_of(row).values()] for row in MATRIX]


EXPECTED = Median()(MATRIX).update


@each("dtype", TYPES)
def test_a_tensor_of_any_floating_point_type_comes_back_in_that_type(dtype: torch.dtype) -> None:
    rows = MATRIX.to(dtype, copy=True).requires_grad_()
    update = Median()(rows).update
    assert (update.dtype, update.shape, update.requires_grad) == (dtype, (D,), False)
    torch.testing.assert_close(update, Median()(rows.detach().float()).update.to(dtype))


@each("dtype", [np.float16, np.float32, np.float64, np.longdouble, ">f4", ">f8"])
def test_a_numpy_array_comes_back_in_its_type(dtype: Any) -> None:
    rows = MATRIX.numpy().astype(dtype)
    update = Median()(rows).update
    assert isinstance(update, np.ndarray)
    assert (update.dtype, update.shape) == (np.dtype(dtype), (D,))
    expected = Median()(torch.from_numpy(rows.astype(np.float32))).update.numpy()
    np.testing.assert_allclose(update.astype(np.float32), expected, rtol=1e-3, atol=1e-3)


def test_a_matrix_of_float32_is_not_copied() -> None:
    matrix, _ = matrix_of(MATRIX)
    assert matrix.data_ptr() == MATRIX.data_ptr()
    array = MATRIX.numpy()
    matrix, _ = matrix_of(array)
    assert matrix.data_ptr() == array.ctypes.data


def test_arrays_that_torch_cannot_use_as_they_are() -> None:
    frozen = MATRIX.numpy().copy()
    frozen.flags.writeable = False
    wide = np.repeat(MATRIX.numpy(), 2, axis=1)
    for what, rows in (
        ("read-only", frozen),
        ("reversed", MATRIX.numpy()[::-1]),
        ("every other column", wide[:, ::2]),
        ("transposed", np.asfortranarray(MATRIX.numpy())),
    ):
        np.testing.assert_array_equal(Median()(rows).update, EXPECTED.numpy(), err_msg=what)
    columns = MATRIX.t().contiguous().t()
    assert torch.equal(Median()(columns).update, EXPECTED)


def test_vectors() -> None:
    for kind in (list, tuple):
        tensors = Median()(kind(MATRIX.double())).update
        assert tensors.dtype == torch.float64
        assert torch.equal(tensors, EXPECTED.double())
        arrays = Median()(kind(MATRIX.numpy())).update
        assert isinstance(arrays, np.ndarray)
        np.testing.assert_array_equal(arrays, EXPECTED.numpy())


def test_lists_of_layers_come_back_as_a_list_of_layers() -> None:
    given = flowers()
    kept = copy.deepcopy(given)
    update = Median()(given).update
    assert type(update) is list
    for layer, shape in zip(update, SHAPES.values(), strict=True):
        assert isinstance(layer, np.ndarray)
        assert (layer.shape, layer.dtype) == (shape, np.float32)
    assert torch.equal(flat(update), EXPECTED)
    assert all((flat(a) == flat(b)).all() for a, b in zip(given, kept, strict=True))
    assert type(Median()([tuple(one) for one in given]).update) is tuple


@each("dtype", TYPES)
def test_state_dicts_come_back_as_a_state_dict(dtype: torch.dtype) -> None:
    given = state_dicts(dtype)
    update = Median()(given).update
    assert type(update) is OrderedDict
    assert list(update) == list(given[0])
    assert all(update[name].shape == layer.shape for name, layer in given[0].items())
    assert all(update[name].dtype == layer.dtype for name, layer in given[0].items())
    assert not update["bn.num_batches_tracked"].any()
    order = [name for name in update if name in SHAPES]
    expected = Median()(MATRIX.to(dtype).float()).update.to(dtype).float()
    named = layers_of(expected)
    for name in order:
        assert torch.equal(update[name].float(), named[name]), name
    assert type(Median()([dict(one) for one in given]).update) is dict


def test_layers_of_one_update_share_no_memory() -> None:
    """Else safetensors would not save them, and one changed in place would change the others."""
    update = Median()(state_dicts()).update
    pointers = [layer.untyped_storage().data_ptr() for layer in update.values()]
    assert len(set(pointers)) == len(pointers)


def test_layers_may_have_types_of_their_own() -> None:
    given = [
        {"a": layers["fc.weight"].half(), "b": layers["conv"].double().numpy()}
        for layers in map(layers_of, MATRIX)
    ]
    update = Median()(given).update
    assert update["a"].dtype == torch.float16
    assert isinstance(update["b"], np.ndarray)
    assert update["b"].dtype == np.float64


def test_every_rule_gives_the_same_for_every_kind() -> None:
    layout = list(SHAPES.items())
    for name in rules.names():
        if set(rules.registry.get(name).needs) & {"root", "architecture"}:
            continue  # in test_foreign_models.py
        rule = rules.create(name, **({"f": 1} if name == "smea" else {}))
        context = RoundContext(model=torch.zeros(D), layout=layout, steps=[4] * N, seed=1)
        expected = rule(MATRIX, context=context).update
        for given in (MATRIX.numpy(), list(MATRIX), flowers(), [layers_of(r) for r in MATRIX]):
            found = flat(rule(given, context=context).update)
            assert torch.equal(found, expected), f"{name}: {type(given)} of {type(given[0])}"


def test_the_layout_follows_from_the_layers() -> None:
    rule = rules.create("layerguard")
    layout = [(str(i), shape) for i, shape in enumerate(SHAPES.values())]
    expected = rule(MATRIX, context=RoundContext(layout=layout)).update
    assert torch.equal(flat(rule(flowers()).update), expected)
    assert torch.equal(flat(rule([layers_of(row) for row in MATRIX]).update), expected)
    with pytest.raises(UnfitRound, match="needs to know the round's layout"):
        rule(MATRIX)


def test_an_update_that_is_not_finite_is_left_out() -> None:
    given = flowers()
    given[4][1] = np.full_like(given[4][1], np.nan)
    result = Median()(given)
    assert result.accepted.tolist() == [i != 4 for i in range(N)]
    huge = [layer.astype(np.float64) for layer in given[5]]
    huge[0][0] = 1e39  # beyond float32
    given[5] = huge
    assert Median()(given).accepted.tolist() == [i not in (4, 5) for i in range(N)]


@each(
    ("updates", "message"),
    [
        (None, "updates are a NoneType; wanted is a floating point matrix"),
        ("median", "updates are a str; wanted"),
        ({0: MATRIX[0]}, r"updates are a dict; .*take list\(updates.values\(\)\)"),
        (iter(MATRIX), r"updates are a \w+; wanted"),
        ([], "there are no updates"),
        (np.zeros((3, 2), int), r"updates are int64 \(3, 2\); wanted"),
        (torch.zeros(3, 2, dtype=torch.bool), r"updates are torch.bool \(3, 2\); wanted"),
        (torch.zeros(3, 2, dtype=torch.complex64), "updates is of torch.complex64"),
        (np.array([["a"]]), "updates is of <U1"),
        (np.array([[None]]), "updates is of object"),
        (torch.tensor(1.0), r"updates are torch.float32 \(\); wanted"),
        (np.zeros((2, 3, 4)), r"updates are float64 \(2, 3, 4\); wanted"),
        (MATRIX.to_sparse(), r"updates is sparse .*wanted is updates.to_dense\(\)"),
        (np.ma.zeros((3, 2)), "updates is a masked array"),
        (["a", "b"], r"updates\[0\] is a str; wanted"),
        ([None, MATRIX[0]], r"updates\[0\] is a NoneType; wanted"),
        ([torch.nn.Linear(2, 1)], r"updates\[0\] is a Linear, .*rules.deltas"),
        ([np.zeros((2, 2))], r"updates\[0\] is an array \(2, 2\); .*list of layers"),
        ([np.zeros(3, int)], r"updates\[0\] has no floating point numbers"),
        ([[], []], r"updates\[0\] has no floating point numbers"),
        ([[1.0, 2.0]], r"updates\[0\]\[0\] is a float; wanted is a torch tensor or numpy array"),
        ([{1: MATRIX[0]}], r"updates\[0\] has a layer called 1"),
        ([MATRIX[0], MATRIX[0, :4]], r"updates\[1\] is torch.float32 \(4,\), but updates\[0\] is"),
        ([MATRIX[0], [MATRIX[0]]], r"updates\[1\] is a list, but updates\[0\] is a vector"),
        ([[MATRIX[0]], [MATRIX[0]] * 2], r"updates\[1\] has 2 layers, not 1 as updates\[0\]"),
        ([[MATRIX[0]], [MATRIX[0, :4]]], r"updates\[1\]\[0\] is .*\(4,\), but updates\[0\]\[0\]"),
        ([{"a": MATRIX[0]}, {"b": MATRIX[0]}], r"updates\[1\] has no 'a', unlike updates\[0\]"),
        ([{"a": MATRIX[0]}, layers_of(MATRIX[0]) | {"a": MATRIX[0]}], r"updates\[1\] has 'fc.w"),
        ([{"a": MATRIX[0]}, {"a": MATRIX[0].to_sparse()}], r"updates\[1\]\['a'\] is sparse"),
        ([{"a": MATRIX[0]}, {"a": MATRIX[0].long()}], r"updates\[1\]\['a'\] is torch.int64"),
    ],
)
def test_what_is_not_taken_is_named(updates: Any, message: str) -> None:
    with pytest.raises(UnfitRound, match=message):
        Krum(f=1)(updates)


def test_counts_are_taken_as_lists_arrays_and_tensors() -> None:
    counts = list(range(1, N + 1))
    rule = FedAvg(weighted=True)
    expected = rule(MATRIX, torch.tensor(counts)).update
    for given in (counts, tuple(counts), range(1, N + 1), np.array(counts, np.uint16)):
        assert torch.equal(rule(MATRIX, given).update, expected), type(given)
        assert torch.equal(rule(MATRIX, context=RoundContext(weights=given)).update, expected)
    nova = rules.create("fednova")
    steps = nova(MATRIX, context=RoundContext(steps=torch.tensor(counts))).update
    assert torch.equal(nova(MATRIX, context=RoundContext(steps=counts)).update, steps)
    for wrong in ([0.5] * N, np.ones(N), ["1"] * N, [True] * N, [[1]] * N, [1] * (N - 1)):
        with pytest.raises(UnfitRound, match="one whole number per row"):
            rule(MATRIX, wrong)
    with pytest.raises(UnfitRound, match="too large"):
        rule(MATRIX, [2**63] * N)


def test_identities_of_64_bits_stay_apart() -> None:
    context = RoundContext(participants=[2**63 + 1, 2**63 + 2, 5])
    assert context.participants is not None
    assert context.participants.unique().numel() == 3
    assert context.participants[2] == 5
    assert context.participants.dtype == torch.int64


def test_detectors_take_the_same() -> None:
    for name in detectors.names():
        detector = detectors.create(name)
        context = RoundContext(model=torch.zeros(D), layout=list(SHAPES.items()), round_number=1)
        expected, _ = detector.score(MATRIX, context)
        for given in (MATRIX.double(), MATRIX.numpy(), list(MATRIX), flowers()):
            found, _ = detector.score(given, context)
            assert torch.equal(found, expected), f"{name}: {type(given)}"
    assert len(detectors.create("norm").score([])[0]) == 0
    examined = detectors.parse("norm/duplicate").examine(flowers(), RoundContext(round_number=1))
    assert examined.scores.shape == (2, N)
    with pytest.raises(UnfitRound, match="needs to know the round's layout"):
        detectors.create("layers").score(MATRIX)


def test_weights_become_updates_and_updates_the_next_model() -> None:
    model = {**layers_of(torch.arange(D) / 8.0), "steps": torch.tensor(3)}
    weights = [
        {name: model[name] + layer for name, layer in layers_of(row).items()}
        | {"steps": model["steps"] + 5}
        for row in MATRIX
    ]
    updates = rules.deltas(weights, model)
    for update, row in zip(updates, MATRIX, strict=True):
        torch.testing.assert_close(flat({k: update[k] for k in SHAPES}), row)
        assert update["steps"] == 0
    following = rules.apply(Median()(updates).update, model)
    assert following["steps"] == 3
    assert list(following) == list(model)
    torch.testing.assert_close(
        flat({k: following[k] for k in SHAPES}), torch.arange(D) / 8.0 + EXPECTED
    )
    with pytest.raises(UnfitRound, match=r"weights\[1\] has no 'fc.weight', .*, unlike model"):
        rules.deltas([weights[0], {"a": MATRIX[0]}], model)
    with pytest.raises(UnfitRound, match="update is a list, but model is a dict"):
        rules.apply([MATRIX[0]], model)


def test_differences_are_as_exact_as_the_type_of_the_model() -> None:
    model = [np.array([1.0, 1e8])]
    weights = [[np.array([1.0 + 1e-12, 1e8 + 1e-4])]]
    [[moved]] = rules.deltas(weights, model)
    np.testing.assert_array_equal(moved, weights[0][0] - model[0])
    [following] = rules.apply([moved], model)
    np.testing.assert_allclose(following, weights[0][0], rtol=1e-15)
    assert following.dtype == np.float64


def test_a_form_is_described_by_its_layers() -> None:
    _, form = matrix_of(state_dicts())
    assert isinstance(form, Form)
    assert form.size == D
    assert form.layout == tuple(
        (name, SHAPES[name]) for name in ("fc.weight", "fc.bias", "scale", "conv")
    )
