"""What holds for every detector."""

import dataclasses

import pytest
import torch

from fedsiege import detectors
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import RoundContext
from fedsiege.rules.state import from_bytes, to_bytes
from tests.cases import each

D = 60
LAYOUT = [("one", (20,)), ("two", (40,))]


def draw(n: int, seed: int, d: int = D) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(d, generator=generator)
    return common + torch.randn(n, d, generator=generator)


def context(number: int, who: torch.Tensor, d: int = D) -> RoundContext:
    return RoundContext(
        round_number=number,
        participants=who,
        model=draw(1, 100 + number, d)[0],
        layout=LAYOUT if d == D else [("all", (d,))],
    )


DETECTORS = [detectors.create(name) for name in detectors.names()]


@each("detector", DETECTORS)
def test_the_order_of_the_rows_does_not_matter(detector):
    who, shuffled = torch.arange(12), torch.tensor([3, 0, 11, 5, 7, 1, 9, 2, 10, 4, 8, 6])
    state = other = None
    for number in (1, 2, 3):
        rows = draw(12, number)
        rows[9:] = 5 * rows[9]
        scores, state = detector.score(rows, context(number, who), state)
        again, other = detector.score(rows[shuffled], context(number, shuffled), other)
        torch.testing.assert_close(again, scores[shuffled], rtol=1e-4, atol=1e-6)
    assert scores.any()


@each("detector", DETECTORS)
def test_the_updates_are_left_as_they_are(detector):
    rows = draw(6, 0)
    rows[5, 3] = torch.nan
    before = rows.clone()
    detector.score(rows, context(1, torch.arange(6)))
    torch.testing.assert_close(rows, before, equal_nan=True, rtol=0, atol=0)


@each("detector", DETECTORS)
def test_what_it_remembers_is_its_own(detector):
    """The caller fills the same matrix again."""
    rows, who = draw(6, 1), torch.arange(6)
    _, state = detector.score(rows, context(1, who))
    copy = None if state is None else to_bytes(state)
    rows.fill_(7)
    assert copy == (None if state is None else to_bytes(state))


@each("detector", DETECTORS)
def test_a_memory_that_cannot_be_its_own_is_refused(detector):
    """To take it for none would forget whom it has seen."""
    rows, who = draw(6, 1), torch.arange(6)
    _, state = detector.score(rows, context(1, who))
    if state is None:
        return
    with pytest.raises(InvalidValue, match=f"{detector.name} state='str' .* a .*State"):
        detector.score(rows, context(2, who), "something else")
    for field in dataclasses.fields(state):
        value = getattr(state, field.name)
        if isinstance(value, torch.Tensor) and value.ndim == 2:
            wrong = [value[:, :-1]] if field.name == "models" else [value[:, :-1], value[:-1]]
            for other in [*wrong, torch.full_like(value, torch.nan)]:
                changed = dataclasses.replace(state, **{field.name: other})
                with pytest.raises(InvalidValue, match=f"{detector.name} state's {field.name}"):
                    detector.score(rows, context(2, who), changed)


@each("bad", [torch.nan, torch.inf, -torch.inf])
@each("detector", DETECTORS)
def test_a_row_that_is_not_finite_is_named_and_changes_nothing_for_others(detector, bad):
    rows, who = draw(8, 2), torch.arange(8)
    rows[2, 5] = bad
    others = torch.tensor([0, 1, 3, 4, 5, 6, 7])
    scores, _ = detector.score(rows, context(1, who))
    alone, _ = detector.score(rows[others], context(1, who[others]))
    assert scores[2] == torch.inf
    torch.testing.assert_close(scores[others], alone)


@each("d", [1, D])
@each("n", [0, 1, 2, 3, 9])
@each("detector", DETECTORS)
def test_any_size(detector, n, d):
    state = None
    for number in (1, 2):
        scores, state = detector.score(
            draw(n, number, d), context(number, torch.arange(n), d), state
        )
        assert scores.shape == (n,)
        assert scores.dtype == torch.float64
        assert scores.isfinite().all()


@each("detector", DETECTORS)
def test_among_too_few_it_can_flag_nobody_and_is_refused(detector):
    few, state = detector.least - 1, None
    for number in (1, 2, 3):
        rows = draw(1, number).repeat(few, 1)
        rows[:1] *= 1e6
        scores, state = detector.score(rows, context(number, torch.arange(few)), state)
        assert not (scores >= detectors.FLAGGED).any()
    if few:
        problem = f"{detector.name} tells nothing among fewer than {few + 1} .* there are {few}"
        with pytest.raises(UnfitRound, match=problem):
            detectors.Audit((detector,)).check(few)
    detectors.Audit((detector,)).check(few + 1)


@each("detector", DETECTORS)
def test_zeros_are_not_flagged(detector):
    state = None
    for number in (1, 2):
        rows = draw(6, number)
        rows[4:] = 0
        scores, state = detector.score(rows, context(number, torch.arange(6)), state)
        assert not (scores[4:] >= 1).any()


@each("detector", DETECTORS)
def test_what_it_remembers_survives_as_bytes(detector):
    who, state = torch.arange(5), None
    for number in (1, 2):
        _, state = detector.score(draw(5, number), context(number, who), state)
    if state is None:
        return
    again = from_bytes(to_bytes(state), type(state))
    scores, _ = detector.score(draw(5, 3), context(3, who), state)
    others, _ = detector.score(draw(5, 3), context(3, who), again)
    assert scores.tolist() == others.tolist()


@each("updates", [torch.ones(3), torch.ones(3, 2).int(), torch.ones(3, 0)])
@each("detector", DETECTORS)
def test_what_is_no_matrix_is_refused(detector, updates):
    with pytest.raises(UnfitRound, match="floating point matrix"):
        detector.score(updates)


def test_each_says_what_it_is():
    for cls in detectors.registry:
        assert cls.summary
        assert cls.__doc__
        assert cls.name == detectors.parse(cls.name).detectors[0].name
