"""The event stream of WatchRounds."""

from collections.abc import AsyncIterator, Iterator

from google.protobuf import duration_pb2

from fedsiege.services.aggregator.federation import Federation
from fedsiege.services.aggregator.round import Round
from fedsiege.v1 import aggregator_pb2 as pb

#: Participants in one message: with the longest identities it stays below 4 MiB.
LARGEST_PAGE = 4_000


async def watch(
    federation: Federation, from_round: int, *, participants: bool = False
) -> AsyncIterator[pb.WatchRoundsResponse]:
    """Yield the history from an entry on, then an event for each change of a round.

    The stream ends when the federation is closed.

    Args:
        federation: the federation to watch.
        from_round: the first entry of the history.
        participants: whether to send all participants of a round before its history entry.

    Raises:
        NotFound: the details of a round are no longer kept.
    """
    position, opened, aggregated = from_round, 0, 0
    while True:
        changed = federation.changed  # read first, so that no change during a yield is missed
        while position < len(federation.history):
            if participants and position:
                for page in _pages(federation, position):
                    yield pb.WatchRoundsResponse(participants=page)
            closed = pb.RoundClosed(entry=federation.history[position])
            yield pb.WatchRoundsResponse(closed=closed)
            position += 1
        if federation.closed_rounds > aggregated:
            aggregated = federation.closed_rounds
            moved = pb.RoundAggregated(round=aggregated)
            yield pb.WatchRoundsResponse(aggregated=moved)
        if federation.round is not None and federation.round.number > opened:
            opened = federation.round.number
            yield pb.WatchRoundsResponse(opened=_opened(federation.round))
        if federation.closed:
            return
        if position >= len(federation.history) and federation.closed_rounds == aggregated:
            await changed.wait()


def _pages(federation: Federation, number: int) -> Iterator[pb.RoundParticipants]:
    """Yield all participants of a closed round, in messages of up to ``LARGEST_PAGE``."""
    after, more = -1, True
    while more:
        _, page, more = federation.participants_after(number, after, LARGEST_PAGE)
        yield pb.RoundParticipants(round=number, participants=page)
        after = page[-1].participant_index


def _opened(current: Round) -> pb.RoundOpened:
    deadline = duration_pb2.Duration()
    deadline.FromMicroseconds(int(current.deadline * 1e6))
    return pb.RoundOpened(
        round=current.number,
        participants=len(current.indices),
        threshold=current.threshold,
        deadline=deadline,
    )
