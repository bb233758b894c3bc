"""The privacy budget of a run: what its rounds have given away of any one participant."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from fedsiege.errors import InvalidValue
from fedsiege.privacy.gaussian import Release


class Budget:
    """The composed budget of the participant about whom most was given away.

    Local mechanisms: the aggregator sees which participants sent an update, so that being drawn at
    random hides nothing. A participant spends in the rounds in which it is scheduled.

    A central mechanism: what is given away is the global model, which does not show who took part.
    Where each round draws participants at random, that counts (amplification by sampling).

    Args:
        local: what one update gives away; None without a local mechanism.
        central: what one aggregate gives away; None without a central one. With both, the local
            budget is kept.

    Attributes:
        delta: what epsilon is stated for; None where there is no budget.
    """

    def __init__(self, local: Release | None, central: Release | None) -> None:
        self._local, self._central = local, central
        release = local or central
        self.delta = None if release is None else release.delta
        self._rounds: Counter[int] = Counter()
        #: How many rounds drew so many participants out of so many.
        self._draws: Counter[tuple[int, int]] = Counter()

    def after(self, participants: Collection[int], drawn: int, of: int) -> float | None:
        """Return epsilon as it would be after one more round; None without a mechanism.

        Args:
            participants: those that would send a protected update.
            drawn: how many participants would be drawn at random in all.
            of: from how many.
        """
        if self._local is not None:
            before = self._rounds.values()
            times = max([0, *before, *(self._rounds[one] + 1 for one in participants)])
            return self._local.epsilon(times)
        if self._central is not None:
            return composed(self._central, self._draws + Counter({(drawn, of): 1}))
        return None

    def spend(self, participants: Collection[int], drawn: int, of: int) -> None:
        """Count a round; arguments as of ``after``."""
        self._rounds.update(participants)
        self._draws[drawn, of] += 1


def composed(release: Release, draws: Counter[tuple[int, int]]) -> float:
    """Return the epsilon of aggregates over participants that were drawn at random.

    It is exact where every round takes all. Else it is the bound by Renyi differential privacy of
    Google's dp-accounting, for samples of fixed size without replacement, and never more than that
    of rounds without sampling.

    Args:
        release: what an aggregate gives away.
        draws: how many rounds drew (participants, out of how many).

    Raises:
        InvalidValue: a round drew a part of them, and dp-accounting is not installed.
    """
    unsampled = release.epsilon(draws.total())
    if all(size >= of for size, of in draws):
        return unsampled
    accounting = accountant()
    account = accounting.rdp.RdpAccountant(
        neighboring_relation=accounting.NeighboringRelation.REPLACE_ONE
    )
    for (size, of), rounds in draws.items():
        event = accounting.GaussianDpEvent(release.multiplier)
        if size < of:
            event = accounting.SampledWithoutReplacementDpEvent(of, size, event)
        account.compose(event, rounds)
    return min(unsampled, float(account.get_epsilon(release.delta)))


def accountant() -> Any:  # a module without types
    """Return Google's dp-accounting.

    Raises:
        InvalidValue: it is not installed.
    """
    try:
        import dp_accounting
        import dp_accounting.rdp
    except ImportError:
        allowed = "1, or any share with Google's dp-accounting: pip install 'fedsiege[privacy]'"
        raise InvalidValue("PARTICIPATION", "below 1", allowed) from None
    return dp_accounting
