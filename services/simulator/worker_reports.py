"""Text for people from the reports of workers."""

from collections.abc import Iterator

from fedsiege.peer_text import plain
from fedsiege.v1 import simulator_pb2 as pb

#: Largest number of refusal reasons kept of an intrusion.
MOST_REASONS = 50


def refused_updates(name: str, report: pb.RoundReport) -> Iterator[str]:
    """Yield notes on the updates of a worker that were refused in a round.

    The history counts an update that arrived after its round had closed as missing, not rejected.

    Args:
        name: the worker's name.
        report: its report of the round.
    """
    late = min(report.late, report.refused)
    if late:
        yield (
            f"round {report.round}: {_updates(late)} of {name} arrived after it had closed: "
            "missing, not rejected"
        )
    if report.problem and (report.refused > late or not late):
        yield (
            f"round {report.round}: refused: {_updates(report.refused - late)} of {name}; "
            f"the first: {plain(report.problem)}"
        )


def readable(report: pb.IntrusionReport) -> pb.IntrusionReport:
    """Return an attacker's report with printable reasons, at most ``MOST_REASONS`` of them."""
    readable = pb.IntrusionReport()
    readable.CopyFrom(report)
    readable.refusals.clear()
    for reason, count in sorted(report.refusals.items())[:MOST_REASONS]:
        readable.refusals[plain(reason, 100)] += count
    return readable


def _updates(count: int) -> str:
    return f"{count} update{'' if count == 1 else 's'}"
