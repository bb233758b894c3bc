"""What MPAF does to a federation, held against its closed form (science.md, section 1)."""

import itertools

import numpy as np
import pytest

from fedsiege import attacks, models, rules
from fedsiege.attacks import Broadcast
from fedsiege.experiment.spec import ExperimentSpec


def base_model(seed: int) -> np.ndarray:
    """The attackers' target w': what MPAF at lambda = 1 sends, added to the model it saw."""
    zero = models.random_weights("net", 1) * 0
    seen = Broadcast(round_number=1, model=zero, previous=None, architecture="net", seed=seed)
    return attacks.create("mpaf", scale=1.0).craft(seen, [0])[0].numpy()


@pytest.mark.slow
async def test_the_gap_to_the_base_model_shrinks_by_a_fifth_a_round(town):
    spec = ExperimentSpec(attack=0.2, dataset="digits", rounds=6)
    outcome = await town.run(spec, clients=[80], attackers=[20])
    target = base_model(0)
    gaps = [float(np.linalg.norm(target - model)) for model in outcome.models]
    honest = 0.8 * largest_honest_norm(outcome)
    for before, after in itertools.pairwise(gaps):
        assert after == pytest.approx(0.8 * before, abs=honest)
    assert honest < 0.05 * gaps[0], "otherwise the test could not tell"


def largest_honest_norm(outcome) -> float:
    lines = (outcome.folder / "participants.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    return max(float(row["norm"]) for row in rows if row["hostile"] == "false")


async def test_too_strong_an_attack_overshoots_and_diverges(town):
    spec = ExperimentSpec(attack=0.2, scale=15.0, dataset="digits", rounds=4)
    outcome = await town.run(spec, clients=[80], attackers=[20])
    target = base_model(0)
    gaps = [float(np.linalg.norm(target - model)) for model in outcome.models]
    assert all(after > 1.5 * before for before, after in itertools.pairwise(gaps))


async def test_accuracy_on_mnist_collapses_in_about_four_rounds(town, mnist):
    spec = ExperimentSpec(attack=0.2, dataset="mnist", rounds=5)
    outcome = await town.run(spec, clients=[80], attackers=[20])
    before, first, second, _, fourth, fifth = outcome.accuracies
    assert before > 0.9
    assert first > 0.8, "one aggregation barely hurts"
    assert second < before
    assert min(fourth, fifth) < 0.3


@pytest.mark.slow
async def test_without_fakes_accuracy_does_not_fall(town, mnist):
    spec = ExperimentSpec(attack=0.0, dataset="mnist", rounds=5)
    outcome = await town.run(spec, clients=[100])
    assert min(outcome.accuracies) > outcome.accuracies[0] - 0.01


#: Rules that must hold one fake of enormous strength among a hundred.
ROBUST = ["median", "trimmed-mean", "krum", "multi-krum", "norm-clipping"]


@pytest.mark.parametrize("rule", ROBUST)
async def test_one_enormous_fake_leaves_robust_rules_alone(town, rule):
    spec = ExperimentSpec(attack=0.01, scale=1e6, dataset="digits", rounds=3, rule=rule)
    outcome = await town.run(spec, clients=[99], attackers=[1])
    assert len(outcome.experiment.hostile_indices) == 1
    assert all(entry.model_finite for entry in outcome.history)
    assert outcome.accuracies[-1] > outcome.accuracies[0] - 0.05


async def test_one_enormous_fake_destroys_fedavg_which_says_so_and_goes_on(town):
    spec = ExperimentSpec(attack=0.01, scale=1e6, dataset="digits", rounds=4, rule="fedavg")
    outcome = await town.run(spec, clients=[99], attackers=[1])
    assert len(outcome.history) == 5
    assert min(outcome.accuracies) < 0.2
    last = outcome.history[-1]
    assert last.loss > 1e3 or not np.isfinite(last.loss)
    assert set(rules.names()) >= set(ROBUST)
