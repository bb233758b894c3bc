"""The files of a run's folder: which there are, and what each holds."""

from dataclasses import dataclass

from fedsiege.results.confusion import ClassRow, ConfusionRow
from fedsiege.results.detection import DetectionRow
from fedsiege.results.history import HistoryRow
from fedsiege.results.infrastructure import ContainerRow, FaultRow, IntrusionRow
from fedsiege.results.participants import ParticipantRow, VerdictRow
from fedsiege.results.record import Record


@dataclass(frozen=True)
class ResultFile:
    """A file that a run leaves.

    Attributes:
        name: its name in the folder.
        holds: what it holds, and when it exists.
    """

    name: str
    holds: str


#: Files that are not tables; a folder without ``spec.yaml`` and ``history.csv`` is not a run.
DOCUMENTS = (
    ResultFile("spec.yaml", "the resolved settings; `fedsiege sim --spec spec.yaml` runs it again"),
    ResultFile(
        "run.json",
        "what the run was: state, versions, command, the attack's knowledge, notes, clean twin",
    ),
    ResultFile("accuracy.png", "accuracy, attack success rate and loss over the rounds"),
    ResultFile("recall.png", "recall of each class over the rounds, where the model was tested"),
    ResultFile("model.safetensors", "the last global model"),
)
#: Tables by the class of their rows, with what one row is and when the table exists.
TABLES: dict[type[Record], str] = {
    HistoryRow: "one row per round; row 0 is the model before any",
    ParticipantRow: "one row per participant and round",
    VerdictRow: "with an audit, one row per participant, round and detector",
    DetectionRow: "one row per round and detector: its flags compared with the truth",
    ClassRow: "one row per round and class, where the model was tested",
    ConfusionRow: "one row per round and pair of classes that occurred, likewise",
    IntrusionRow: "with `INTRUSIONS`, one row per intrusion",
    ContainerRow: "with containers, one row per container and second",
    FaultRow: "with `FAULTS`, one row per fault",
}
#: Tables that exist from the start, without rows.
FROM_THE_START: tuple[type[Record], ...] = (HistoryRow, ParticipantRow)
#: Files that every folder of results has.
REQUIRED = ("spec.yaml", HistoryRow.file)


def files() -> list[ResultFile]:
    """Return all files that a run may leave."""
    tables = [ResultFile(record.file, holds) for record, holds in TABLES.items()]
    return [*DOCUMENTS[:2], *tables, *DOCUMENTS[2:]]
