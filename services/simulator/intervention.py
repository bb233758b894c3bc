"""Hooks before and after every round of an experiment, for instance to inject faults."""

from collections.abc import Sequence

from fedsiege.results import ParticipantRow


class Intervention:
    """The hooks of an experiment; this base class does nothing.

    An experiment awaits ``before`` and ``after``; a ``FedSiegeError`` that they raise ends it.
    """

    #: Whether the class injects the faults of the specification.
    makes_faults = False

    async def before(self, round_number: int) -> None:
        """Run before a round is opened."""

    async def after(self, round_number: int) -> None:
        """Run once a round has been aggregated, before the next one."""

    def recorded(self, round_number: int, participants: Sequence[ParticipantRow]) -> None:
        """Receive the participants' outcomes in a round; the next one may already run."""
