"""The results of benchmarks: a table on the screen, Markdown and JSON files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contest import Claim, Outcome

MET, NOT_MET, NOT_MEASURED = "met", "NOT MET", "not measured"
_COLOURS = {MET: "green", NOT_MET: "bold red", NOT_MEASURED: "yellow"}

#: The results of a benchmark as in its JSON file.
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of the table, as text.

    Attributes:
        subject: the contender and the measure, or the claim.
        value: the median.
        spread: the minimum and the maximum.
        count: number of samples; for a claim, of repetitions.
        target: the bound; empty for a plain measure.
        verdict: met, NOT MET or not measured; empty for a plain measure.
    """

    subject: str
    value: str
    spread: str
    count: str
    target: str = ""
    verdict: str = ""


def record(outcome: Outcome, machine: Mapping[str, str]) -> Record:
    """Return the record of an outcome, with every sample and the machine."""
    benchmark = outcome.benchmark
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "machine": dict(machine),
        "measures": [
            {"contender": contender.name, "measure": measure, "unit": unit, "samples": samples}
            for contender in benchmark.contenders
            for measure, unit in benchmark.units.items()
            if (samples := outcome.samples(contender.name, measure))
        ],
        "claims": [_claim(claim, outcome.figures(claim)) for claim in benchmark.claims],
        "failures": outcome.failures,
    }


def _claim(claim: Claim, figures: Sequence[float]) -> Record:
    verdict = NOT_MEASURED
    if figures:
        verdict = MET if claim.holds(median(figures)) else NOT_MET
    return {
        "text": claim.text,
        "unit": claim.unit,
        "figures": figures,
        "target": claim.target,
        "verdict": verdict,
    }


def lines(written: Record) -> list[Line]:
    """Return the lines of the table: the measures of each contender, then the claims."""
    return [
        *(
            Line(f"{one['contender']}: {one['measure']}", *_summary(one["samples"], one["unit"]))
            for one in written["measures"]
        ),
        *(
            Line(
                claim["text"],
                *_summary(claim["figures"], claim["unit"]),
                claim["target"],
                claim["verdict"],
            )
            for claim in written["claims"]
        ),
    ]


def _summary(values: Sequence[float], unit: str) -> tuple[str, str, str]:
    if not values:
        return "-", "", "0"
    spread = f"{number(min(values))} .. {number(max(values))}"
    return f"{number(median(values))} {unit}", spread, str(len(values))


def number(value: float) -> str:
    """Return a number as text with three significant digits, from 1000 on in full."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def show(console: Console, written: Record) -> None:
    """Print a benchmark's table."""
    table = Table(title=written["title"], title_justify="left")
    table.add_column("")
    for heading in ("median", "min .. max", "n", "target"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for line in lines(written):
        table.add_row(
            line.subject,
            line.value,
            line.spread,
            line.count,
            line.target,
            line.verdict,
            style=_COLOURS.get(line.verdict),
        )
    console.print(table)
    for name, why in written["failures"].items():
        console.print(f"{name} failed: {why}", style="bold red", markup=False)


def write(folder: Path, records: Sequence[Record]) -> None:
    """Write ``<name>.json`` for each benchmark, and ``table.md`` from all such files."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in records:
        (folder / f"{one['name']}.json").write_text(json.dumps(one, indent=1) + "\n")
    all_records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    (folder / "table.md").write_text(markdown(all_records))


def markdown(records: Sequence[Record]) -> str:
    """Return the tables of all benchmarks in Markdown, each with its machine."""
    text = ["# Benchmarks", "", "Written by `make bench`; the contenders took turns."]
    for one in records:
        text += ["", f"## {one['title']}", ""]
        text += ["| | median | min .. max | n | target | |", "|---|--:|--:|--:|--:|---|"]
        for line in lines(one):
            verdict = f"**{line.verdict}**" if line.verdict else ""
            cells = (line.subject, line.value, line.spread, line.count, line.target, verdict)
            text.append(f"| {' | '.join(cells)} |")
        text += [f"\n{name} failed: {why}" for name, why in one["failures"].items()]
        text += ["", ", ".join(f"{name} {value}" for name, value in one["machine"].items())]
    return "\n".join(text) + "\n"
