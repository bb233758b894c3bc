"""Who was found out, by hand-computed cases; what is not defined is None."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsiege.errors import InvalidValue
from fedsiege.metrics import Detection, Discovery, detection, discovery, roc_auc
from tests.cases import each

# --- the area under the curve ---------------------------------------------------------------------


@each(
    ("scores", "hostile", "area"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
        ([4, 3, 2, 1], [0, 0, 1, 1], 0.0),
        ([1, 3, 2, 4], [0, 0, 1, 1], 0.75),
        ([5, 5, 5, 5], [0, 0, 1, 1], 0.5),  # all tied: it tells nothing
        ([1, 2, 2, 3], [0, 0, 1, 1], 0.875),  # one of four pairs is a tie and counts half
        ([2, 2, 2, 1], [1, 1, 0, 0], 0.75),  # of four pairs two are won and two are ties
        ([math.inf, 1, -math.inf], [1, 0, 0], 1.0),
        ([math.inf, math.inf, 0], [1, 0, 0], 0.75),
        ([1, 2], [0, 0], None),
        ([1, 2], [1, 1], None),
        ([], [], None),
    ],
)
def test_the_area(scores: list[float], hostile: list[int], area: float | None) -> None:
    assert roc_auc(scores, hostile) == area


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=20))
def test_the_area_is_the_share_of_pairs_in_the_right_order(people: list[tuple[int, bool]]) -> None:
    hostile = [score for score, truth in people if truth]
    benign = [score for score, truth in people if not truth]
    pairs = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(hostile, benign)]
    area = roc_auc([score for score, _ in people], [truth for _, truth in people])
    assert area == (pytest.approx(np.mean(pairs)) if pairs else None)


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidValue, match="leave out participants without a score"):
        roc_auc([1, math.nan], [0, 1])
    with pytest.raises(InvalidValue, match="one per participant"):
        roc_auc([1, 2, 3], [0, 1])


# --- a round --------------------------------------------------------------------------------------


def test_a_round_by_hand() -> None:
    # of three hostile two are caught, of five benign one is taken for hostile
    hostile = [1, 1, 1, 0, 0, 0, 0, 0]
    flagged = [1, 1, 0, 1, 0, 0, 0, 0]
    assert detection(flagged, hostile) == Detection(tpr=2 / 3, fpr=1 / 5, precision=2 / 3, auc=None)


@pytest.mark.parametrize(
    ("flagged", "hostile", "expected"),
    [
        ([0, 0], [1, 0], Detection(0.0, 0.0, None, None)),  # nobody flagged: no precision
        ([1, 0], [0, 0], Detection(None, 0.5, 0.0, None)),  # nobody hostile: no TPR
        ([1, 0], [1, 1], Detection(0.5, None, 1.0, None)),  # nobody benign: no FPR
        ([], [], Detection(None, None, None, None)),
    ],
)
def test_undefined_values_are_none(
    flagged: list[int], hostile: list[int], expected: Detection
) -> None:
    assert detection(flagged, hostile) == expected


def test_participants_without_a_score_are_left_out_of_the_area_alone() -> None:
    found = detection([1, 0, 0], [1, 1, 0], [2.0, math.nan, 1.0])
    assert found == Detection(tpr=0.5, fpr=0.0, precision=1.0, auc=1.0)
    assert detection([0, 0], [1, 0], [math.nan, 1.0]).auc is None


def test_flags_of_others_are_refused() -> None:
    with pytest.raises(InvalidValue, match="one per participant"):
        detection([1], [1, 0])


# --- over the rounds ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        ([1, 3, 8], Discovery(3.0, 0.0)),
        ([1, 4], Discovery(2.5, 0.0)),
        ([1, 2, None], Discovery(2.0, 1 / 3)),
        ([1, None], Discovery(None, 0.5)),  # half of them later than ever
        ([1, None, None], Discovery(None, 2 / 3)),  # one found at once is no detection in round 1
        ([None], Discovery(None, 1.0)),
        ([], None),
    ],
)
def test_rounds_to_detection(rounds: list[int | None], expected: Discovery | None) -> None:
    assert discovery(rounds) == expected
