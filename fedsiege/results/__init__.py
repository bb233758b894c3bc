"""The results of a run: files first.

``runs/<time-and-name>/`` holds

- ``spec.yaml``: the settled specification, fit to be fed back; versions and notes as comments;
- ``history.csv``: one row per round, row 0 before any; see ``history``;
- ``participants.csv``: one row per participant and round; see ``participants``;
- ``detectors.csv``: with an audit, one row per participant, round and detector; likewise;
- ``classes.csv`` and ``confusion.csv``: the test of every round by class; see ``confusion``;
- ``detection.csv``: what each detector's flags were worth in every round; see ``detection``;
- ``accuracy.png`` and ``recall.png``: accuracy, loss and recall of each class over the rounds;
- ``model.safetensors``: the last global model;
- with worker containers, ``containers.csv`` and ``faults.csv``: see ``fleet.statistics`` and
  ``fleet.faulting``.

The tables grow round by round and reach the disk at once, so a run that is killed leaves valid
files. The other files appear whole or not at all. A table of which there are no rows is not there,
but for the first two. ``fedsiege show`` reads them back: see ``reading``.
"""

from fedsiege.results.confusion import Confusion
from fedsiege.results.cost import Change, Cost
from fedsiege.results.detection import DetectionRow, detections
from fedsiege.results.folder import ResultsFolder
from fedsiege.results.history import CloseReason, HistoryRow
from fedsiege.results.participants import Outcome, ParticipantRow, Standing, Verdict
from fedsiege.results.run import Run

__all__ = [
    "Change",
    "CloseReason",
    "Confusion",
    "Cost",
    "DetectionRow",
    "HistoryRow",
    "Outcome",
    "ParticipantRow",
    "ResultsFolder",
    "Run",
    "Standing",
    "Verdict",
    "detections",
]
