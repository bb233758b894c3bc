"""Hard tests: what an update of real training shows, and a made-up one does not.

Each is in force only while the median of the cohort shows it, whatever the model and the data.
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from fedsiege.numerics.means import median_of
from fedsiege.rules.sentinel.dead_set import dead_shares
from fedsiege.rules.sentinel.layers import Layer
from fedsiege.rules.sentinel.measures import measure

#: If more than this share fails, what is left are the tests that no cohort can mislead.
_MOST = 0.6
_UNDECEIVED = ("class-sum", "duplicate")
#: An interval of the standard normal that holds half of it is 2 / 1.4826 long.
_HALF_LENGTH_TO_DEVIATION = 1.4826


def hard_tests(
    updates: Tensor,
    norms: Tensor,
    layers: Sequence[Layer],
    cosines: Tensor,
    away: Tensor,
    without: Collection[str] = (),
) -> dict[str, Tensor]:
    """Return who fails which test, ``(n,)`` bool on the CPU for each.

    Args:
        updates: ``(n, d)`` floating point, no row of zeros.
        norms: ``(n,)`` float64 on the CPU, their lengths.
        layers: of the model.
        cosines: ``(n, n)`` of the updates.
        away: ``(v,)`` float64, lengths of updates of earlier rounds.
        without: tests to leave out.
    """
    measures = measure(updates, layers)
    failed = {
        "class-sum": class_sum_flags(measures.class_sum),
        "dead-set": dead_set_flags(dead_shares(updates)),
        "spectrum": spectrum_flags(measures.spectrum),
        "coherence": coherence_flags(measures.coherence),
        "profile": profile_flags(measures.profile),
        "duplicate": duplicate_flags(cosines),
        "norm": norm_flags(norms, away),
    }
    return {test: flags for test, flags in failed.items() if test not in without}


def hard_flags(failed: dict[str, Tensor], n: int) -> Tensor:
    """Return ``(n,)`` bool: who fails any test.

    Where that is more than 60 % the cohort itself is out of the ordinary, and only class sums and
    duplicates count.
    """
    any_test = _any(failed, failed, n)
    if any_test.double().mean() <= _MOST:
        return any_test
    return _any(failed, _UNDECEIVED, n)


def class_sum_flags(sums: Tensor) -> Tensor:
    """Flag who moves the last layer in a way that softmax with cross entropy cannot.

    Its gradients add up to zero over the classes, and so does any sum of them. In force if the
    median is below 1e-3; flagged above 1e-2.

    Args:
        sums: ``(n, 0 or 1)``, see Measures.

    Returns:
        ``(n,)`` bool, as all here.
    """
    if not sums.numel() or not median_of(sums[:, 0]) < 1e-3:
        return _nobody(sums)
    return sums[:, 0] > 1e-2


def dead_set_flags(shares: Tensor) -> Tensor:
    """Flag who moves what the others cannot: a share below 0.05 where the median is above 0.5.

    Args:
        shares: ``(n,)``, see ``dead_shares``.
    """
    if not median_of(shares) > 0.5:
        return _nobody(shares)
    return shares < 0.05


def spectrum_flags(shares: Tensor) -> Tensor:
    """Flag whose matrices have no dominant directions.

    A gradient is a sum of a few outer products. In force if the median of the mean over matrices is
    above 0.35; flagged below 0.6 of that median.

    Args:
        shares: ``(n, matrices)``, see Measures.
    """
    if not shares.numel():
        return _nobody(shares)
    return _far_below(shares.mean(dim=1), in_force_above=0.35, factor=0.6)


def coherence_flags(cosines: Tensor) -> Tensor:
    """Flag whose biases do not go with their weights.

    Both are sums of the same errors, the weights' multiplied by the inputs. Where those are of one
    sign, row means and biases are parallel, or antiparallel in a first layer whose pixels are
    mostly negative: so each layer counts with the sign of its median. In force if the median of the
    mean over layers is above 0.5; flagged below 0.2 of that median.

    Args:
        cosines: ``(n, matrices with biases)``, see Measures.
    """
    if not cosines.numel():
        return _nobody(cosines)
    signs = cosines.median(dim=0).values.sign()
    return _far_below((cosines * signs).mean(dim=1), in_force_above=0.5, factor=0.2)


def profile_flags(profile: Tensor) -> Tensor:
    """Flag whose layers have other proportions than the majority's.

    ``z = |x - c| / max(s, 0.25)``, at most 10, of each feature, with centre and deviation by the
    shorth. Flagged if the root mean square of z over the features is above 3.5.

    Args:
        profile: ``(n, features)``, see Measures.
    """
    centre, deviation = shorth(profile)
    z = ((profile - centre).abs() / deviation.clamp(min=0.25)).clamp(max=10)
    return z.square().mean(dim=1).sqrt() > 3.5


def duplicate_flags(cosines: Tensor) -> Tensor:
    """Flag who has a cosine above 0.99999 with another.

    Args:
        cosines: ``(n, n)`` of the updates.
    """
    return cosines.clone().fill_diagonal_(-1.0).amax(dim=1) > 0.99999


def norm_flags(norms: Tensor, away: Tensor) -> Tensor:
    """Flag who is far longer than the majority: ``(log ||g|| - c) / max(s, 0.25) > 4``.

    Centre and deviation by the shorth. Clipping bounds what a long update does, but a fake that is
    told of honest lengths by nobody sends one that is sure to count in full. The majority is that
    of all with a say: among ten who were drawn for a round, half may be fakes.

    Args:
        norms: ``(n,)`` float64, above 0.
        away: ``(v,)`` float64, lengths of updates of earlier rounds, of those who are away.
    """
    logarithms = norms.log()[:, None]
    centre, deviation = shorth(torch.cat([logarithms, away.log()[:, None]]))
    return ((logarithms - centre) / deviation.clamp(min=0.25)).flatten() > 4


def shorth(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the middle and the spread of the majority, column by column.

    The shorth is the shortest interval that holds ``floor(n / 2) + 1`` of the n values: less than
    half of them, wherever they are, cannot carry it off.

    Args:
        values: ``(n, k)``, n at least 1.

    Returns:
        ``(k,)`` its midpoint, and ``(k,)`` the standard deviation of a normal distribution whose
        middle half is that long: half its length times 1.4826.
    """
    ordered = values.sort(dim=0).values
    n = len(ordered)
    inside = n // 2  # steps from the first to the last of the points in it
    lengths = ordered[inside:] - ordered[: n - inside]
    first = lengths.argmin(dim=0, keepdim=True)
    low, length = ordered.gather(0, first)[0], lengths.gather(0, first)[0]
    return low + length / 2, length / 2 * _HALF_LENGTH_TO_DEVIATION


def _far_below(values: Tensor, in_force_above: float, factor: float) -> Tensor:
    median = median_of(values)
    if not median > in_force_above:
        return _nobody(values)
    return values < factor * median


def _nobody(values: Tensor) -> Tensor:
    return torch.zeros(len(values), dtype=torch.bool)


def _any(failed: dict[str, Tensor], tests: Collection[str], n: int) -> Tensor:
    flags = torch.zeros(n, dtype=torch.bool)
    for test in tests:
        if test in failed:
            flags |= failed[test]
    return flags
