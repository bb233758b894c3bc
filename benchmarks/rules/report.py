"""The results of all rules and matrices: one table and one file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contest import Outcome
from benchmarks.report import MET, NOT_MEASURED, NOT_MET, number, record
from benchmarks.rules.contenders import NUMPY, OURS_NAME, SORT, TIME, TORCH

_NAME = "rules"
_TITLE = "Aggregation rules beside ByzFL"
_ORDER = {NOT_MET: 2, NOT_MEASURED: 1, MET: 0}

Record = Mapping[str, Any]


def as_record(outcomes: Sequence[Outcome], machine: Mapping[str, str]) -> Record:
    """Return the record of all outcomes.

    It has the form of the other benchmarks' records, so that their table can show it: each claim
    has the figures of the rule and matrix where they are worst. All samples are in ``cells``.
    """
    cells = [record(outcome, {}) for outcome in outcomes]
    texts = {claim["text"]: claim for cell in cells for claim in cell["claims"]}
    claims = []
    for text, example in texts.items():
        measured = [
            {**claim, "text": f"{text}, worst: {cell['name']}"}
            for cell in cells
            for claim in cell["claims"]
            if claim["text"] == text and claim["figures"]
        ]
        if measured:
            sign = 1 if example["target"].startswith("≥") else -1
            claims.append(min(measured, key=lambda claim: sign * median(claim["figures"])))
    return {
        "name": _NAME,
        "title": _TITLE,
        "machine": dict(machine),
        "measures": [],
        "claims": claims,
        "failures": {},
        "cells": cells,
    }


def markdown(written: Record) -> str:
    """Return the table in Markdown, with a line for each rule and matrix."""
    text = [
        f"# {written['title']}",
        "",
        "Written by `make bench-rules`; the contenders took turns. Times are medians in ms. Ratios",
        "are those of each repetition: median (least .. greatest). A dash: nothing to compare.",
        "There are fewer repetitions where one takes long.",
        "",
        "| | repetitions | ours | ByzFL torch | ByzFL numpy | torch ÷ ours, ≥ 5 "
        "| numpy ÷ ours, ≥ 1 | ours ÷ sort, ≤ 3 | extra memory ÷ input, ≤ 0.5 | |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for cell in written["cells"]:
        claims = {claim["text"]: claim for claim in cell["claims"]}
        ratios = [
            _ratio(claims.get(name))
            for name in (
                f"{TORCH} ÷ ours",
                f"{NUMPY} ÷ ours",
                f"ours ÷ {SORT}",
                "extra memory ÷ input",
            )
        ]
        times = [_time(cell, name) for name in (OURS_NAME, TORCH, NUMPY)]
        worst = max((claim["verdict"] for claim in claims.values()), key=lambda v: _ORDER[v])
        verdict = "**NOT MET**" if worst == NOT_MET else "met"
        turns = str(max(len(claim["figures"]) for claim in claims.values()))
        text.append(f"| {' | '.join([cell['name'], turns, *times, *ratios, verdict])} |")
    text += ["", ", ".join(f"{name} {value}" for name, value in written["machine"].items())]
    return "\n".join(text) + "\n"


def _time(cell: Record, contender: str) -> str:
    if contender in cell["failures"]:
        return str(cell["failures"][contender])
    samples = [
        value
        for one in cell["measures"]
        if one["contender"] == contender and one["measure"] == TIME
        for value in one["samples"]
    ]
    return number(median(samples)) if samples else "-"


def _ratio(claim: Record | None) -> str:
    if claim is None or not claim["figures"]:
        return "-"
    figures = claim["figures"]
    text = f"{number(median(figures))} ({number(min(figures))} .. {number(max(figures))})"
    return f"**{text}**" if claim["verdict"] == NOT_MET else text


def write(folder: Path, written: Record) -> None:
    """Write ``rules.json`` and ``rules.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{_NAME}.json").write_text(json.dumps(written, indent=1) + "\n")
    (folder / f"{_NAME}.md").write_text(markdown(written))
