"""What ByzFL's attacks make of one small matrix; kept in ``byzfl_attacks.json``.

    .bench/byzfl/bin/python tests/fedsiege/attacks/byzfl_attacks.py \
        > tests/fedsiege/attacks/byzfl_attacks.json

``make bench-rules`` makes that environment, with the versions of ``benchmarks/peers/byzfl.txt``.
The version that gave these numbers, and all attacks that it has, are kept with them. Left out are
those of which there is nothing to compare: Gaussian noise, infinity, and label flips, of which it
returns the honest mean here.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))
from benchmarks.rules import peer
from tests.fedsiege.byzfl_recording import record

#: How many hostile participants there are beside the benign ones.
HOSTILE = 3


def benign() -> np.ndarray:
    """Return ``(12, 7)`` float64 that float32 holds exactly."""
    rows = np.random.default_rng(7).standard_normal((12, 7)) + np.linspace(-1, 1, 7)
    return rows.astype(np.float32).astype(np.float64)


def tent(factor: float) -> float:
    """Return a harm that is largest, 6, at a factor of 6 and falls to 0 at 12."""
    return max(0.0, 6 - abs(factor - 6))


def main() -> None:
    """Print the results as JSON."""
    byzfl = peer.load()

    def optimal(kind: type, agg: object, *pre: object) -> np.ndarray:
        return kind(agg=agg, pre_agg_list=list(pre), f=HOSTILE)(benign())

    ipm, alie = byzfl.Optimal_InnerProductManipulation, byzfl.Optimal_ALittleIsEnough
    results = {
        "sign-flip:form=mean": byzfl.SignFlipping()(benign()),
        "ipm:eps=0.5": byzfl.InnerProductManipulation(0.5)(benign()),
        "alie:z=-1.5": byzfl.ALittleIsEnough(1.5)(benign()),
        "mimic:target=9": byzfl.Mimic(3)(benign()),
        # The mean of the benign values is 1, and -factor is the only other one.
        "tent": -ipm(agg=lambda rows: np.array([1 + tent(-rows[-1, 0])]), pre_agg_list=[], f=1)(
            np.ones((2, 1))
        ),
    }
    for name, kind in (("adaptive-ipm", ipm), ("adaptive-alie", alie)):
        results |= {
            f"{name} median": optimal(kind, byzfl.Median()),
            f"{name} trimmed-mean:f=3": optimal(kind, byzfl.TrMean(f=HOSTILE)),
            f"{name} meamed:f=3": optimal(kind, byzfl.Meamed(f=HOSTILE)),
            f"{name} multi-krum:f=3": optimal(kind, byzfl.MultiKrum(f=HOSTILE)),
            f"{name} nnm:f=3/trimmed-mean:f=3": optimal(
                kind, byzfl.TrMean(f=HOSTILE), byzfl.NNM(f=HOSTILE)
            ),
        }
    record(byzfl, "attacks", results)


if __name__ == "__main__":
    main()
