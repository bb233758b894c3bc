"""``python -m fedsiege.grids.redraw FOLDER...``: draw ``heatmap.png`` of a grid again.

From its ``grid.yaml`` and ``cells.csv`` alone, so that nothing has to run again. ``table.md`` stays
as it is: its figures come from the runs, and the rounded ones of the table could differ.
"""

import sys
from pathlib import Path

from fedsiege.grids import cell_table, heatmap
from fedsiege.grids.grid import Grid


def redraw(folder: Path) -> None:
    """Draw the heat map of the grid in a folder."""
    grid = Grid.from_yaml((folder / "grid.yaml").read_text())
    figures = list(cell_table.read_cells(grid, folder / "cells.csv"))
    heatmap.draw(grid, figures, folder / "heatmap.png")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        redraw(Path(name))
