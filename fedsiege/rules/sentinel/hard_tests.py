"""Hard tests: properties that every update of real training has, and an invented one has not.

A test is in force only while the median of the round has the property, so that it is inactive for
models, data and optimisers for which the property does not hold.

=========  ==========================================  ================  =======================
test       measure x                                   in force while    flagged if
=========  ==========================================  ================  =======================
class-sum  sum over the classes of the last layer      median < 1e-3     x > 1e-2
dead-set   share of the common zeros left zero         median > 0.5      x < 0.05
spectrum   energy in two singular values, mean         median > 0.35     x < 0.6 median
coherence  cosine of row means and biases, mean        median > 0.5      x < 0.2 median
profile    deviation of the log-lengths of layers      always            root mean square z > 3.5
duplicate  largest cosine with another update          always            x > 0.99999
norm       deviation of the log-length                 always            z > 4
=========  ==========================================  ================  =======================
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from fedsiege.numerics.means import median_of
from fedsiege.rules.sentinel.layers import Layer, layer_features, zero_shares

#: If a larger share of the updates is flagged, only the tests below count.
_MOST_FLAGGED = 0.6
#: These compare an update with no majority, so that a majority of fakes cannot mislead them.
_INDEPENDENT = ("class-sum", "duplicate")
#: The standard deviation of a normal distribution in units of half the length of its middle half.
_DEVIATIONS_PER_HALF_LENGTH = 1.4826


def hard_tests(
    updates: Tensor,
    norms: Tensor,
    layers: Sequence[Layer],
    cosines: Tensor,
    absent: Tensor,
    without: Collection[str] = (),
) -> dict[str, Tensor]:
    """Return the flags of each test, ``(n,)`` bool on the CPU.

    Args:
        updates: ``(n, d)`` floating point, no row of zeros.
        norms: ``(n,)`` float64 on the CPU, their lengths.
        layers: the layers of the model.
        cosines: ``(n, n)``, the cosines of the updates.
        absent: ``(v,)`` float64, the lengths of the last updates of absent participants.
        without: tests to leave out.
    """
    features = layer_features(updates, layers)
    failed = {
        "class-sum": class_sum_flags(features.class_sum),
        "dead-set": zero_flags(zero_shares(updates)),
        "spectrum": spectrum_flags(features.spectrum),
        "coherence": coherence_flags(features.coherence),
        "profile": profile_flags(features.profile),
        "duplicate": duplicate_flags(cosines),
        "norm": norm_flags(norms, absent),
    }
    return {test: flags for test, flags in failed.items() if test not in without}


def hard_flags(failed: dict[str, Tensor], n: int) -> Tensor:
    """Return ``(n,)`` bool: whether any test flags an update.

    If that are more than 60 % of the updates, the majority is not a reference, and only the tests
    class-sum and duplicate count.
    """
    any_test = _any(failed, failed, n)
    if any_test.double().mean() <= _MOST_FLAGGED:
        return any_test
    return _any(failed, _INDEPENDENT, n)


def class_sum_flags(sums: Tensor) -> Tensor:
    """Flag changes of the last layer that softmax with cross entropy cannot cause.

    The gradients of the last layer add up to zero over the classes, and so do their sums. In force
    if the median is below 1e-3; flagged above 1e-2.

    Args:
        sums: ``(n, 0 or 1)``, see LayerFeatures.

    Returns:
        ``(n,)`` bool, as for all tests.
    """
    if not sums.numel() or not median_of(sums[:, 0]) < 1e-3:
        return _no_flags(sums)
    return sums[:, 0] > 1e-2


def zero_flags(shares: Tensor) -> Tensor:
    """Flag updates that change coordinates which training leaves at zero.

    In force if the median is above 0.5; flagged below 0.05.

    Args:
        shares: ``(n,)``, see ``zero_shares``.
    """
    if not median_of(shares) > 0.5:
        return _no_flags(shares)
    return shares < 0.05


def spectrum_flags(shares: Tensor) -> Tensor:
    """Flag updates whose matrices have no dominant singular values.

    A gradient is a sum of a few outer products. In force if the median of the mean over matrices is
    above 0.35; flagged below 0.6 of that median.

    Args:
        shares: ``(n, matrices)``, see LayerFeatures.
    """
    if not shares.numel():
        return _no_flags(shares)
    return _far_below(shares.mean(dim=1), in_force_above=0.35, factor=0.6)


def coherence_flags(cosines: Tensor) -> Tensor:
    """Flag updates whose biases do not match their weights.

    Both are sums of the same errors; for the weights these are multiplied by the inputs. If the
    inputs have one sign, row means and biases are parallel, or antiparallel in a first layer with
    mostly negative pixels. So each layer counts with the sign of its median. In force if the median
    of the mean over layers is above 0.5; flagged below 0.2 of that median.

    Args:
        cosines: ``(n, matrices with biases)``, see LayerFeatures.
    """
    if not cosines.numel():
        return _no_flags(cosines)
    signs = cosines.median(dim=0).values.sign()
    return _far_below((cosines * signs).mean(dim=1), in_force_above=0.5, factor=0.2)


def profile_flags(profile: Tensor) -> Tensor:
    """Flag updates whose layers have other relative lengths than those of the majority.

    ``z = |x - c| / max(s, 0.25)``, at most 10, for each feature, with centre c and deviation s of
    the shorth. Flagged if the root mean square of z over the features is above 3.5.

    Args:
        profile: ``(n, features)``, see LayerFeatures.
    """
    centre, deviation = shorth(profile)
    z = ((profile - centre).abs() / deviation.clamp(min=0.25)).clamp(max=10)
    return z.square().mean(dim=1).sqrt() > 3.5


def duplicate_flags(cosines: Tensor) -> Tensor:
    """Flag updates with a cosine above 0.99999 with another update.

    Args:
        cosines: ``(n, n)``, the cosines of the updates.
    """
    return cosines.clone().fill_diagonal_(-1.0).amax(dim=1) > 0.99999


def norm_flags(norms: Tensor, absent: Tensor) -> Tensor:
    """Flag updates that are far longer than the majority: ``(log ||g|| - c) / max(s, 0.25) > 4``.

    Centre c and deviation s are those of the shorth. Clipping bounds the effect of a long update,
    but a fake client that does not know the usual length sends a long one to have full effect. The
    majority includes absent participants: of ten that are sampled for a round, half may be fakes.

    Args:
        norms: ``(n,)`` float64, above 0.
        absent: ``(v,)`` float64, the lengths of the last updates of absent participants.
    """
    logarithms = norms.log()[:, None]
    centre, deviation = shorth(torch.cat([logarithms, absent.log()[:, None]]))
    return ((logarithms - centre) / deviation.clamp(min=0.25)).flatten() > 4


def shorth(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the centre and the deviation of the majority of each column.

    The shorth is the shortest interval that holds ``floor(n / 2) + 1`` of the n values. Fewer than
    half of them cannot move it far, whatever their values.

    Args:
        values: ``(n, k)``, n at least 1.

    Returns:
        ``(k,)``, its midpoint; and ``(k,)``, the standard deviation of a normal distribution whose
        middle half has its length: half the length times 1.4826.
    """
    ordered = values.sort(dim=0).values
    n = len(ordered)
    inside = n // 2  # steps from the first to the last of its points
    lengths = ordered[inside:] - ordered[: n - inside]
    first = lengths.argmin(dim=0, keepdim=True)
    low, length = ordered.gather(0, first)[0], lengths.gather(0, first)[0]
    return low + length / 2, length / 2 * _DEVIATIONS_PER_HALF_LENGTH


def _far_below(values: Tensor, in_force_above: float, factor: float) -> Tensor:
    median = median_of(values)
    if not median > in_force_above:
        return _no_flags(values)
    return values < factor * median


def _no_flags(values: Tensor) -> Tensor:
    return torch.zeros(len(values), dtype=torch.bool)


def _any(failed: dict[str, Tensor], tests: Collection[str], n: int) -> Tensor:
    flags = torch.zeros(n, dtype=torch.bool)
    for test in tests:
        if test in failed:
            flags |= failed[test]
    return flags
