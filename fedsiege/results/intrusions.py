"""``intrusions.csv``: what came of each way to get in."""

from collections.abc import Iterable
from pathlib import Path

from fedsiege.results.table import Table
from fedsiege.v1 import simulator_pb2 as pb

HEADER = ("intrusion", "tried", "succeeded", "seconds", "per_second", "refusals")


def write_intrusions(reports: Iterable[pb.IntrusionReport], path: Path) -> None:
    """Write one row for each way that was tried.

    ``per_second`` is how many attempts a second succeeded; ``refusals`` how often each reason was
    given, as ``REASON:count`` with blanks between.
    """
    table = Table(path, HEADER)
    table.append(
        (
            one.intrusion,
            one.tried,
            one.succeeded,
            round(one.seconds, 6),
            round(one.succeeded / one.seconds, 3) if one.seconds else 0.0,
            " ".join(f"{reason}:{one.refusals[reason]}" for reason in sorted(one.refusals)),
        )
        for one in reports
    )
    table.close()
