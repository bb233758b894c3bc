"""The history of a run as a table on the screen."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fedsiege.cli.screen_table import ScreenTable
from fedsiege.results import HistoryRow

#: Columns of ``history.csv`` that come first; the others follow in its order.
_FIRST = ("round", "accuracy", "asr", "loss", "instability")
#: A longer history is thinned out on the screen.
_MOST_ROWS = 26


def history_table(
    rows: Sequence[HistoryRow],
    compared: Mapping[str, Sequence[str]],
    *,
    without: Collection[str] = (),
    **style: Any,
) -> ScreenTable:
    """Return the table; columns that are empty in all rows, and some of the rows, are left out.

    Args:
        rows: the history, round 0 first; at least that one.
        compared: by heading, columns to put behind the accuracy; a short one ends with empty cells.
        without: names of columns of ``history.csv`` to leave out.
        style: as for ``ScreenTable``.
    """
    hidden = {*without, *(() if any(row.incomplete for row in rows) else ("hostile_share",))}
    known = type(rows[0]).columns()
    columns: dict[str, list[str]] = {}
    for name in dict.fromkeys((*_FIRST, *known)):
        column = known[name]
        if column.on_screen is None or name in hidden:
            continue
        values = (row.values()[name] for row in rows)
        columns[column.heading or name] = [column.on_screen(value) for value in values]
        if name == "accuracy":
            columns["accuracy"] = [row.accuracy_text for row in rows]
            for heading, texts in compared.items():
                columns[heading] = [*texts, *[""] * (len(rows) - len(texts))]
    shown = thinned(len(rows))
    columns = {
        heading: [texts[place] for place in shown]
        for heading, texts in columns.items()
        if any(texts)
    }
    captions = []
    if len(shown) < len(rows):
        captions.append(f"{len(shown)} of {len(rows)} rows; history.csv has all")
    if "missing" in columns:
        captions.append(
            "missing: honest updates that a round closed without; hostile: the share of the "
            "others that hostile participants sent"
        )
    return ScreenTable(columns, caption="\n".join(captions), **style)


def thinned(count: int) -> list[int]:
    """Return up to ``_MOST_ROWS`` positions below ``count``, evenly spread, both ends included."""
    if count <= _MOST_ROWS:
        return list(range(count))
    return [i * (count - 1) // (_MOST_ROWS - 1) for i in range(_MOST_ROWS)]
