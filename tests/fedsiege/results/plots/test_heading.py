"""Title and subtitle of a run's plots."""

import pytest

from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results.plots.heading import heading


@pytest.mark.parametrize(
    ("settings", "attack"),
    [
        ({"attack": 0.2}, "mpaf:scale=1.0,base=random, 20% hostile, knowledge none · fedavg"),
        ({"attack": 0.2, "attack_name": "alie"}, "20% hostile, knowledge partial · fedavg"),
        ({"attack": 0}, "no attack · fedavg"),
    ],
)
def test_a_plot_names_the_knowledge_of_the_attack(settings: dict[str, object], attack: str) -> None:
    resolved = resolve(ExperimentSpec.of({"dataset": "digits", "clients": 20, **settings}))
    title, subtitle = heading(resolved.spec, resolved.knowledge)
    assert title == f"{resolved.spec.model} on digits"
    assert attack in subtitle
    assert ("knowledge" in subtitle) == bool(settings["attack"])
