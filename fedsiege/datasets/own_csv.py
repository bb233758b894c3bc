"""One's own table: a ``.csv`` file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt

from fedsiege.datasets.base import Dataset, registry
from fedsiege.datasets.own import OwnData, Part, as_dataset, write_parts
from fedsiege.errors import MissingData


@registry.register
@dataclass(frozen=True)
class Csv(OwnData):
    r"""Read the rows of a table from a ``.csv`` file with a header.

    One column holds the labels, whole numbers or text; the classes are its different values, in
    order. Another may say to whom a row belongs, such as a hospital: a natural division among
    participants. All others are features and must hold numbers. A share of each class is held out.

    A model takes a feature as its distance from the mean, by mean and deviation of the training
    part; one that is the same in all rows as 0:

    .. math::

        x = \frac{v - \mu}{\sigma}

    Source:
        The format: Yakov Shafranovich, `Common Format and MIME Type for CSV Files
        <https://doi.org/10.17487/RFC4180>`_, RFC 4180, 2005.
    """

    name = "csv"
    summary = "your own table, in a .csv file"

    file: Annotated[str, "the file: its name in the data folder, or its path"] = ""
    label: Annotated[str, "the column of the labels"] = "label"
    group: Annotated[str | None, "the column that says to whom a row belongs"] = None
    test: Annotated[float, Gt(0), Lt(1), "share of each class that is held out"] = 0.2
    seed: Annotated[int, Ge(0), "seed of the draw of that share"] = 0

    @property
    def made(self) -> str:
        """What the arrays depend on beside the file."""
        return f"{super().made} {self.label} {self.group}"

    def write(self, path: Path, folder: Path) -> None:
        """Read the table, check it and write its rows."""
        import pandas as pd  # late: it takes half a second

        try:
            table = pd.read_csv(path, skipinitialspace=True)
        except pd.errors.EmptyDataError:
            raise self.refuse("a table with a header; the file is empty: 0 rows") from None
        except (pd.errors.ParserError, UnicodeDecodeError) as error:
            raise MissingData(f"{path} is no table: {' '.join(str(error).split())}") from error
        columns = [self.label] if self.group is None else [self.label, self.group]
        for column in columns:
            if column not in table.columns:
                there = ", ".join(map(str, table.columns))
                raise self.refuse(f"a column {column!r}; it has {there}")
        features = table.drop(columns=columns)
        if len(table) == 0:
            raise self.refuse("rows; below its header there are none: 0 rows")
        text = [str(c) for c in features if not pd.api.types.is_numeric_dtype(features[c])]
        if text or features.shape[1] == 0:
            found = f"{', '.join(text[:5])} hold text" if text else "there are none"
            raise self.refuse(f"columns of numbers beside {' and '.join(columns)}; {found}")
        labels = table[self.label]
        given = labels.to_numpy()
        if labels.dtype == object or not pd.api.types.is_numeric_dtype(labels):
            given = labels.fillna("").astype(str).to_numpy(dtype=str)
        groups = None
        if self.group is not None:
            belongs = table[self.group]
            if belongs.isna().any():
                row = int(np.flatnonzero(belongs.isna())[0])
                raise self.refuse(
                    f"a value in the column {self.group!r} of each row; row {row} has none"
                )
            groups = belongs.astype(str).to_numpy(dtype=str)
        write_parts(self, folder, Part(features.to_numpy(np.float32), given), None, groups)

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped."""
        return as_dataset(self.name, self.arrays(root))
