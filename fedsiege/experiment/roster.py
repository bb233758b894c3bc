"""The participants of an experiment: which are hostile, their identities, and their rounds."""

from collections.abc import Sequence

from fedsiege import attacks, seeding
from fedsiege.experiment.hostile import hostile_indices, share_of
from fedsiege.experiment.spec import ExperimentSpec


class Roster:
    """The participants of an experiment, and the rounds in which each takes part.

    The hostile indices are the same with every seed, see ``fedsiege.experiment.hostile``. Which
    participants a round schedules is drawn from the seed.

    A hostile participant may hold several identities and use another one in every round. Its first
    identity has an index among the participants, the others follow behind all participants, so that
    a benign participant has the same index and the same samples with every attack. With an attack
    that holds no identity at all, hostile participants stay away.

    Args:
        spec: the experiment. With an open number of participants the hostile ones are not known
            here.
    """

    def __init__(self, spec: ExperimentSpec) -> None:
        first = hostile_indices(spec.clients, spec.attack)
        aliases = attacks.parse(spec.attack_name).aliases if first else 1
        more = range(spec.clients, spec.clients + len(first) * (aliases - 1))
        turns = [more[start : start + len(first)] for start in range(0, len(more), len(first) or 1)]
        #: Hostile identities by the turn in which they take part.
        self._turns: list[Sequence[int]] = [first, *turns] if aliases else []
        self._first = frozenset(first)
        self._spec = spec

    @property
    def hostile(self) -> set[int]:
        """The indices of all hostile identities."""
        return {index for turn in self._turns for index in turn}

    @property
    def benign(self) -> list[int]:
        """The indices of the benign participants, ascending."""
        return [index for index in range(self._spec.clients) if index not in self._first]

    def scheduled(self, there: Sequence[int], round_number: int) -> list[int]:
        """Return the indices that take part in a round, ascending.

        Hostile identities whose turn it is not are left out. Of all others a share is drawn anew
        for every round, always of one size: ``participation`` of them, half up, at least one.

        Args:
            there: the indices that can take part, ascending.
            round_number: 1 or more.
        """
        waiting: set[int] = set()
        if self._turns:
            turn = self._turns[(round_number - 1) % len(self._turns)]
            waiting = self.hostile - set(turn)
        able = [index for index in there if index not in waiting] or list(there)
        count = share_of(len(able), self._spec.participation)
        if count >= len(able):
            return able
        draw = seeding.generator(self._spec.seed, "participation", round_number)
        return sorted(able[position] for position in draw.permutation(len(able))[: max(1, count)])
