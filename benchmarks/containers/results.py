"""The result files: every sample in ``containers/<name>.json``, tables in ``containers.md``."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report

_HEADING = """# In containers

Written by `make bench-containers`. The median, the least and the greatest of what was measured; no
peer takes part, the targets are our own."""


def write(folder: Path, record: report.Record) -> None:
    """Write one benchmark's file, and the tables from all such files in the folder."""
    details = folder / "containers"
    details.mkdir(parents=True, exist_ok=True)
    (details / f"{record['name']}.json").write_text(json.dumps(record, indent=1) + "\n")
    records = [json.loads(path.read_text()) for path in sorted(details.glob("*.json"))]
    (folder / "containers.md").write_text(markdown(records))


def markdown(records: Sequence[report.Record]) -> str:
    """Return the tables of all benchmarks in Markdown; a line with a target has a verdict."""
    text = [_HEADING]
    for one in records:
        text += ["", f"## {one['title']}", ""]
        text += ["| | median | min .. max | n | target | |", "|---|--:|--:|--:|--:|---|"]
        for line in report.lines(one):
            verdict = f"**{line.verdict}**" if line.verdict else ""
            cells = (line.subject, line.value, line.spread, line.count, line.target, verdict)
            text.append(f"| {' | '.join(cells)} |")
        text += [f"\n{name} failed: {why}" for name, why in one["failures"].items()]
        text += ["", *(f"- {finding}" for finding in one["findings"])]
        text += ["", ", ".join(f"{name} {value}" for name, value in one["machine"].items())]
    return "\n".join(text) + "\n"
