"""What is done to an experiment from outside, round by round."""

from collections.abc import Sequence

from fedsiege.results import ParticipantRow


class Intervention:
    """Does nothing; subclasses disturb, or only look on.

    An experiment waits for ``before`` and ``after``; an error of ours that they raise ends it.
    """

    #: Whether the faults that the specification asks for are made.
    makes_faults = False

    async def before(self, round_number: int) -> None:
        """Act just before a round is opened."""

    async def after(self, round_number: int) -> None:
        """Act as soon as a round has moved the model, before the next one."""

    def recorded(self, round_number: int, participants: Sequence[ParticipantRow]) -> None:
        """See what became of everyone in a round; the next one may be under way."""
