"""What ByzFL makes of one small matrix; its output is kept in ``byzfl_reference.json``.

    .bench/byzfl/bin/python tests/fedsiege/rules/byzfl_reference.py \
        > tests/fedsiege/aggregation/byzfl_reference.json

``make bench-rules`` makes that environment, with the versions of ``benchmarks/peers/byzfl.txt``.
The version that gave these numbers, and all that it has, are kept with them. What depends on random
numbers in ByzFL is asked where it does not: SMEA's one step of the power method is exact in one
dimension, and one bucket of all rows is their mean.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))
from benchmarks.rules import peer
from tests.fedsiege.byzfl_recording import record


def updates() -> np.ndarray:
    """Return ``(11, 7)`` float64 that float32 holds exactly."""
    rows = np.random.default_rng(4).standard_normal((11, 7)).astype(np.float32)
    rows[:2] *= 20
    return rows.astype(np.float64)


def main() -> None:
    """Print the results as JSON."""
    byzfl = peer.load()
    clipping = byzfl.CenteredClipping(L=2, tau=1.0)
    results = {
        "fedavg": byzfl.Average()(updates()),
        "median": byzfl.Median()(updates()),
        "median of 10": byzfl.Median()(updates()[:10]),
        "trimmed-mean:f=2": byzfl.TrMean(f=2)(updates()),
        "krum:f=2": byzfl.Krum(f=2)(updates()),
        "multi-krum:f=2": byzfl.MultiKrum(f=2)(updates()),
        "geometric-median": byzfl.GeometricMedian(nu=1e-9, T=2000)(updates()),
        "meamed:f=2": byzfl.Meamed(f=2)(updates()),
        "mda:f=2": byzfl.MDA(f=2)(updates()),
        "centered-clipping:tau=1,steps=2": clipping(updates()),
        "centered-clipping:tau=1,steps=2 again": clipping(updates()[2:]),
        "smea:f=2 of one coordinate": byzfl.SMEA(f=2)(updates()[:, :1]),
        "bucketing:s=11": byzfl.Bucketing(s=11)(updates()),
        "nnm:f=2": byzfl.NNM(f=2)(updates()),
        "clipping:bound=2": byzfl.Clipping(2.0)(updates()),
        "arc:f=2": byzfl.ARC(f=2)(updates()),
    }
    record(byzfl, "aggregators", results)


if __name__ == "__main__":
    main()
