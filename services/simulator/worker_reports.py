"""What workers report, in words."""

from collections.abc import Iterator

from fedsiege.peer_text import plain
from fedsiege.v1 import simulator_pb2 as pb

#: Reasons for refusals that are kept of one kind of intrusion.
MOST_REASONS = 50


def refused_updates(name: str, report: pb.RoundReport) -> Iterator[str]:
    """Say which updates of a worker were not taken in, in the words of the history.

    An update that came too late counts there as missing, and not as rejected.

    Args:
        name: the worker.
        report: what it reports of a round.
    """
    late = min(report.late, report.refused)
    if late:
        yield (
            f"round {report.round}: {_updates(late)} of {name} came after it had closed: "
            "missing, not rejected"
        )
    if report.problem and (report.refused > late or not late):
        yield (
            f"round {report.round}: not taken in: {_updates(report.refused - late)} of {name}; "
            f"the first: {plain(report.problem)}"
        )


def readable(report: pb.IntrusionReport) -> pb.IntrusionReport:
    """Return an attacker's report with reasons that can be shown, and not too many of them."""
    readable = pb.IntrusionReport()
    readable.CopyFrom(report)
    readable.refusals.clear()
    for reason, count in sorted(report.refusals.items())[:MOST_REASONS]:
        readable.refusals[plain(reason, 100)] += count
    return readable


def _updates(count: int) -> str:
    return f"{count} update{'' if count == 1 else 's'}"
