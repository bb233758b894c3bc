"""The results of a run: what it writes into its folder, and what follows from them.

``files`` lists the files of a folder; ``docs/results.md`` describes their columns. ``record`` is
the mechanism behind the tables: one record class per file. ``ResultsFolder`` writes a folder,
``RunRecords`` reads one as records and ``run.Run`` as data frames, ``report`` computes what
``fedsiege show`` prints, ``plots`` draws.
"""

from fedsiege.results.confusion import Confusion
from fedsiege.results.cost import Change, Cost
from fedsiege.results.detection import DetectionRow, detections
from fedsiege.results.folder import ResultsFolder
from fedsiege.results.history import CloseReason, HistoryRow
from fedsiege.results.infrastructure import ContainerRow, FaultRow, IntrusionRow
from fedsiege.results.participants import Outcome, ParticipantRow, Standing, Verdict
from fedsiege.results.run_info import RunInfo, RunState
from fedsiege.results.run_records import RunRecords

__all__ = [
    "Change",
    "CloseReason",
    "Confusion",
    "ContainerRow",
    "Cost",
    "DetectionRow",
    "FaultRow",
    "HistoryRow",
    "IntrusionRow",
    "Outcome",
    "ParticipantRow",
    "ResultsFolder",
    "RunInfo",
    "RunRecords",
    "RunState",
    "Standing",
    "Verdict",
    "detections",
]
