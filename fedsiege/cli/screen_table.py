"""A table on the screen that is split into blocks of columns in a narrow window."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text


class ScreenTable:
    """A table in one piece where the window is wide enough, and else in blocks of columns.

    The first column stands in every block. No heading and no figure is cut or broken, unless it
    is wider than the window by itself.

    Args:
        columns: by heading, the texts from top to bottom; all columns have as many.
        left: headings of the columns that are aligned to the left.
        title: stands above the first block.
        caption: stands below the last block.
        style: what else ``rich.table.Table`` is to be made with.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[str | Text]],
        *,
        left: Collection[str] = (),
        title: str = "",
        caption: str = "",
        **style: Any,
    ) -> None:
        self._columns = columns
        self._left = left
        self._title = title
        self._caption = caption
        self._style = style

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Print the blocks."""
        for place, block in enumerate(self._blocks(console, options)):
            table = self._table(block)
            if place:
                yield Text()
            elif self._title:
                table.title = self._title
            yield table
        if self._caption:  # not the table's own, which would be as narrow as the last block
            yield Text(self._caption, style="table.caption")

    def _blocks(self, console: Console, options: ConsoleOptions) -> Iterator[list[str]]:
        """Yield the headings of each block, as many as fit."""
        unlimited = options.update(width=10_000)
        first, *others = self._columns
        block = [first]
        for heading in others:
            table = self._table([*block, heading])
            width = console.measure(table, options=unlimited).maximum
            if len(block) > 1 and width > options.max_width:
                yield block
                block = [first]
            block.append(heading)
        yield block

    def _table(self, headings: Iterable[str]) -> Table:
        table = Table(title_justify="left", **self._style)
        headings = list(headings)
        for heading in headings:
            justify = "left" if heading in self._left else "right"
            table.add_column(Text(heading), justify=justify, overflow="fold")  # type: ignore[arg-type]
        for texts in zip(*(self._columns[heading] for heading in headings), strict=True):
            table.add_row(*(Text(one) if isinstance(one, str) else one for one in texts))
        return table
