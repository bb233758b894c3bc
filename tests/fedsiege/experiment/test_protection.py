"""Privacy in a specification: what is refused, and what people are told."""

import sys

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec

LDP = "ldp:epsilon=1,clip=0.5"


def notes(**settings: object) -> str:
    return "\n".join(resolve(ExperimentSpec.of({"dataset": "digits", **settings})).notes)


def test_a_mechanism_is_spelled_out_and_its_noise_is_told() -> None:
    spec = resolve(ExperimentSpec.of({"privacy": LDP})).spec
    assert spec.privacy == "ldp:hostile=False,epsilon=1.0,delta=1e-05,clip=0.5"
    assert resolve(spec).spec == spec
    told = notes(privacy=LDP)
    assert "noise of standard deviation 3.731 to each of 13,106 values, a norm of about 427" in told
    assert "SEED=0 can be guessed" in told
    assert "can be guessed" not in notes(privacy=LDP, seed=2**40)
    assert "PRIVACY" not in notes()


def test_what_no_budget_can_hold_is_refused() -> None:
    for settings, problem in (
        ({"privacy": "ldp:epsilon=0"}, r"PRIVACY=.* above 0"),
        ({"privacy": "dp"}, "PRIVACY='dp'"),
        ({"stop_at_epsilon": 1}, "only with PRIVACY, or RULE=dp-fedavg"),
        ({"stop_at_epsilon": 1, "rule": "dp-fedavg", "audit": "norm"}, "without AUDIT"),
        ({"stop_at_epsilon": 0.9, "privacy": LDP}, "at least 1, which one round takes"),
        ({"stop_at_epsilon": 1, "rule": "dp-fedavg:noise=1"}, r"at least 9\.997, which one round"),
    ):
        with pytest.raises(InvalidValue, match=problem):
            resolve(ExperimentSpec.of(settings))
    resolve(ExperimentSpec.of({"stop_at_epsilon": 1.1, "privacy": LDP}))


def test_sampled_rounds_of_a_central_mechanism_need_the_accountant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    sampled = {"rule": "dp-fedavg", "participation": 0.5}
    with pytest.raises(InvalidValue, match=r"fedsiege\[privacy\]"):
        resolve(ExperimentSpec.of(sampled))
    resolve(ExperimentSpec.of({**sampled, "participation": 1}))
    resolve(ExperimentSpec.of({**sampled, "rule": "fedavg", "privacy": LDP}))


def test_running_statistics_are_not_protected_and_that_is_told() -> None:
    told = notes(privacy=LDP, model="resnet20")
    assert "running statistics of MODEL=resnet20" in told
    assert "are sent as they are" in told
    assert "running statistics" not in notes(privacy=LDP)


def test_an_audited_central_mechanism_has_no_budget() -> None:
    assert "no privacy budget with AUDIT=norm" in notes(rule="dp-fedavg", audit="norm")
