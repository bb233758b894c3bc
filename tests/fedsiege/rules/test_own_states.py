"""A rule refuses what cannot be its memory, instead of forgetting whom it has found out."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from fedsiege import models, rules
from fedsiege.errors import InvalidValue
from fedsiege.rules import RoundContext
from fedsiege.rules.centered_clipping import Center
from fedsiege.rules.specguard import SpecGuardState
from fedsiege.rules.state import own
from tests.cases import each

D = 6
SMALL = ["foolsgold", "fldetector", "specguard", "centered-clipping"]
IMAGES = "fedredefense:iterations=1"


def after_a_round(text: str, d: int = D) -> Any:
    """Return what a rule remembers after one round of four."""
    if text.startswith("specguard"):
        return SpecGuardState(torch.eye(2, d), age=1)
    generator = torch.Generator().manual_seed(0)
    return played(text, None, torch.randn(4, d, generator=generator)).state


def played(text: str, state: object, updates: torch.Tensor | None = None) -> Any:
    context = RoundContext(model=torch.zeros(D))
    if text == IMAGES:
        context = RoundContext(model=models.random_weights("net", 0), architecture="net")
        updates = torch.zeros(2, models.size("net"))
    elif updates is None:
        updates = torch.ones(3, D)
    else:
        context = replace(context, model=torch.zeros(updates.shape[1]))
    return rules.parse(text)(updates, context=context, state=state)


@pytest.mark.parametrize("text", [*SMALL, IMAGES])
def test_its_own_is_taken(text: str) -> None:
    assert played(text, after_a_round(text)).update.isfinite().all()


@pytest.mark.parametrize("text", [*SMALL, IMAGES])
def test_the_state_of_another_class_is_refused(text: str) -> None:
    name = text.partition(":")[0]
    with pytest.raises(InvalidValue, match=f"{name} state='str' is not possible: a [A-Z]"):
        played(text, "v")
    other = after_a_round("foolsgold" if text == "centered-clipping" else "centered-clipping")
    with pytest.raises(InvalidValue, match=f"{name} state='{type(other).__name__}'"):
        played(text, other)


@pytest.mark.parametrize("text", SMALL)
def test_a_state_of_models_of_another_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=rf"{text} state's .*=.*7.*of shape .*6"):
        played(text, after_a_round(text, d=D + 1))


def test_a_state_of_another_window_is_refused() -> None:
    before = after_a_round("fldetector")
    with pytest.raises(InvalidValue, match=r"state's scores=\(4, 10\).*of shape 4 x 5"):
        played("fldetector:window=5", before)


def test_a_state_of_models_with_other_classes_is_refused() -> None:
    before = after_a_round(IMAGES)
    fewer = replace(before, images=before.images[:, :2], labels=before.labels[:, :2, :2])
    with pytest.raises(InvalidValue, match=r"state's images.*of shape 2 x 10 x 1 x 28 x 28"):
        played(IMAGES, fewer)


@each("value", [torch.nan, torch.inf])
@each(
    ("text", "field"),
    [
        ("foolsgold", "history"),
        ("fldetector", "updates"),
        ("specguard", "directions"),
        ("centered-clipping", "point"),
        (IMAGES, "rates"),
    ],
)
def test_a_state_that_is_not_finite_is_refused(text: str, field: str, value: float) -> None:
    before = after_a_round(text)
    broken = getattr(before, field).clone()
    broken.flatten()[1] = value
    with pytest.raises(InvalidValue, match=f"state's {field}.*finite numbers"):
        played(text, replace(before, **{field: broken}))


def test_a_letter_stands_for_one_number_in_all_shapes() -> None:
    before = replace(after_a_round("foolsgold"), seen=torch.ones(3, dtype=torch.int64))
    with pytest.raises(InvalidValue, match=r"foolsgold state's seen=\(3,\).*of shape 4"):
        played("foolsgold", before)


def test_none_is_the_state_of_a_first_round() -> None:
    assert own("centered-clipping", None, Center, point=(2,)) is None
