"""What a rule remarks on a round is in the history of every round, and noted once."""

import pytest

from fedsiege.experiment.spec import ExperimentSpec

CUT = "counts 2 samples for 3 of 3 participants that report more, 4 at most"


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        ("fedavg:weighted=true,bound=2", "fedavg:bound=N changes that, 4096 at most"),
        ("nnm/fedavg:weighted=true,bound=2", "fedavg:bound=N changes that, 4096 at most"),
        ("fednova:weighted=true,bound=2", "fednova:bound=N changes that"),
    ],
)
async def test_sample_counts_that_are_cut_are_said(town, rule: str, limit: str) -> None:
    """Whether updates are summed as they come or lie in a matrix."""
    spec = ExperimentSpec.of(
        {"dataset": "digits", "clients": 3, "rounds": 3, "attack": 0, "samples": 4, "rule": rule}
    )
    outcome = await town.run(spec, clients=[3])
    name = limit.partition(":")[0]
    expected = f"{name} {CUT}; {limit}"
    assert [list(entry.remarks) for entry in outcome.history] == [[], *3 * [[expected]]]
    noted = [note for note in outcome.experiment.notes if CUT in note]
    assert noted == [f"from round 1 on: {expected}"]


async def test_where_nothing_is_cut_nothing_is_said(town) -> None:
    spec = ExperimentSpec.of(
        {
            "dataset": "digits",
            "clients": 3,
            "rounds": 2,
            "attack": 0,
            "rule": "fedavg:weighted=true",
        }
    )
    outcome = await town.run(spec, clients=[3])
    assert not any(entry.remarks for entry in outcome.history)
    assert not any("report" in note for note in outcome.experiment.notes)
