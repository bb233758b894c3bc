"""What the detectors found in the cells of a grid: ``detection.csv``, and the audit in short."""

import csv
from collections.abc import Sequence
from pathlib import Path

from fedsiege.grids.cell import CellFigures
from fedsiege.results.atomic import whole
from fedsiege.results.detection import AUDIT, NO_DETECTORS

LEGEND = (
    "What the audit found: TPR / FPR in %, mean over the rounds; in brackets the ROC-AUC of its "
    "detector."
)


def write_table(axes: Sequence[str], cells: Sequence[CellFigures], path: Path) -> None:
    """Write one row for each detector of each cell as CSV.

    All figures are means over the rounds in which they are defined, blank where they never are;
    ``rounds`` is when half of the hostile participants had been flagged, ``never`` the share of
    them that never was.
    """
    with whole(path) as partial, partial.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        header = [*axes, "detector", "tpr", "fpr", "precision", "auc", "rounds", "never"]
        table.writerow(header)
        for cell in cells:
            for one in cell.detectors:
                worth, found = one.worth, one.discovery
                figures = [worth.tpr, worth.fpr, worth.precision, worth.auc]
                spelled = ["" if figure is None else f"{figure:.4f}" for figure in figures]
                half = found.median if found else None
                spelled.append("" if half is None else f"{half:g}")
                spelled.append("" if found is None else f"{found.never:.4f}")
                table.writerow([*cell.labels, one.detector, *spelled])


def audited(cell: CellFigures) -> str:
    """Say what the audit of a cell found: TPR / FPR in %, and the ROC-AUC of a single detector.

    Returns:
        Such as ``100 / 0.4 (1.00)``; empty without an audit.
    """
    by_name = {one.detector: one for one in cell.detectors}
    if AUDIT not in by_name:
        return ""
    worth = by_name[AUDIT].worth
    text = " / ".join(
        "-" if share is None else f"{100 * share:.{digits}f}"
        for share, digits in ((worth.tpr, 0), (worth.fpr, 1))
    )
    single = [one for name, one in by_name.items() if name not in NO_DETECTORS]
    if len(single) == 1 and single[0].worth.auc is not None:
        text += f" ({single[0].worth.auc:.2f})"
    return text
