"""The files of a run's folder: which there are, what each holds, and their documentation.

``python -m fedsiege.results.files > docs/results.md`` writes the documentation anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fedsiege.results.confusion import ClassRow, ConfusionRow
from fedsiege.results.detection import DetectionRow
from fedsiege.results.history import HistoryRow
from fedsiege.results.infrastructure import ContainerRow, FaultRow, IntrusionRow
from fedsiege.results.participants import ParticipantRow, VerdictRow
from fedsiege.results.record import Record
from fedsiege.results.run_info import RunInfo


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


def documentation() -> str:
    """Return ``docs/results.md``: the files of a run, and the columns of its tables."""
    lines = [
        "# The files of a run",
        "",
        "<!-- Written by `python -m fedsiege.results.files > docs/results.md`; do not edit. -->",
        "",
        "A run leaves a folder. The tables grow round by round and reach the disk at once, so a "
        "run that is",
        "killed leaves valid files; the other files appear complete or not at all. A table without "
        "rows is absent,",
        "except `history.csv` and `participants.csv`. `fedsiege show` reads a folder back.",
        "",
        *_table("file", "holds", {f"`{one.name}`": one.holds for one in files()}),
        "",
        "Truth values are `true` and `false`; what is absent is empty; `inf` and `nan` are numbers "
        "like others.",
        "",
        "## run.json",
        "",
        *_table(
            "field",
            "meaning",
            {f"`{name}`": one.description or "" for name, one in RunInfo.model_fields.items()},
        ),
    ]
    for record, holds in TABLES.items():
        texts = {f"`{name}`": column.text for name, column in record.columns().items()}
        lines += ["", f"## {record.file}", "", f"{holds[0].upper()}{holds[1:]}.", ""]
        lines += _table("column", "meaning", texts)
    return "\n".join(lines) + "\n"


def _table(left: str, right: str, texts: Mapping[str, str]) -> list[str]:
    rows = [f"| {name} | {text} |" for name, text in texts.items()]
    return [f"| {left} | {right} |", "|---|---|", *rows]


if __name__ == "__main__":
    print(documentation(), end="")  # noqa: T201 - it is redirected into the file
