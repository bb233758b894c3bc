"""What participants do to their updates."""

import math

import numpy as np
import pytest
import torch

from fedsiege import privacy
from fedsiege.errors import InvalidValue
from fedsiege.privacy import LocalGaussian


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_whole_update_is_clipped_once_and_noise_added() -> None:
    quiet = LocalGaussian(epsilon=1e9, clip=1.0)
    update = torch.tensor([3.0, 0.0, 4.0, 0.0])
    protected = quiet.protect(update, random())
    assert protected.tolist() == pytest.approx([0.6, 0, 0.8, 0], abs=1e-3)
    assert quiet.protect(0.01 * update, random()).tolist() == pytest.approx(
        [0.03, 0, 0.04, 0], abs=1e-3
    ), "a short one stays as it is"
    assert update.tolist() == [3, 0, 4, 0], "changed"


def test_the_noise_is_as_large_as_said_and_of_the_generator() -> None:
    loud = LocalGaussian(epsilon=0.5, clip=0.1)
    expected = 2 * 0.1 * math.sqrt(2 * math.log(1.25e5)) / 0.5
    assert loud.deviation == expected
    noise = loud.protect(torch.zeros(100_000), random())
    assert noise.std().item() == pytest.approx(expected, rel=0.02)
    assert torch.equal(noise, loud.protect(torch.zeros(100_000), random()))
    assert not torch.equal(noise, loud.protect(torch.zeros(100_000), random(1)))


def test_zero_and_huge_updates_stay_finite() -> None:
    for update in (torch.zeros(9), torch.full((9,), 3e38), torch.full((9,), 1e-45)):
        assert LocalGaussian().protect(update, random()).isfinite().all()


def test_flowers_semantics_are_not_calibrated_and_say_so() -> None:
    """LocalDpMod: sigma = S sqrt(2 ln(1.25/delta)) / epsilon for any S and epsilon."""
    mod = LocalGaussian(epsilon=10.0, clip=5.0, sensitivity=0.1)
    assert mod.deviation == pytest.approx(0.1 * math.sqrt(2 * math.log(1.25e5)) / 10)
    assert mod.release.multiplier == pytest.approx(mod.deviation / 10)
    (remark,) = mod.remarks(None)
    assert "is not calibrated" in remark
    assert f"guarantees epsilon={mod.release.epsilon():.4g}" in remark
    assert LocalGaussian().remarks(None) == []


def test_what_one_update_gives_away_is_what_was_asked_for() -> None:
    for epsilon in (1.0, 8.0, 300.0):
        release = LocalGaussian(epsilon=epsilon, clip=0.3).release
        assert release.epsilon() == pytest.approx(epsilon, rel=1e-6)


def test_texts() -> None:
    found = privacy.parse("ldp:epsilon=2,delta=1e-6,clip=0.5")
    assert found == LocalGaussian(epsilon=2.0, delta=1e-6, clip=0.5)
    assert privacy.parse("") is None
    for text in ("ldp:epsilon=0", "ldp:delta=0", "ldp:delta=1", "ldp:clip=0", "ldp:sensitivity=0"):
        with pytest.raises(InvalidValue):
            privacy.parse(text)
    with pytest.raises(InvalidValue, match="did you mean ldp"):
        privacy.parse("ldpp")
