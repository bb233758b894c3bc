"""Resolving a specification: what is filled in, what is noted, what cannot work."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fedsiege import attacks
from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from tests.cases import each
from tests.classifiers import register


def resolved(**settings: object) -> dict[str, Any]:
    return resolve(ExperimentSpec.of(settings)).spec.model_dump()


def notes(**settings: object) -> str:
    return "\n".join(resolve(ExperimentSpec.of(settings)).notes)


def test_with_an_open_number_of_participants_nothing_is_counted() -> None:
    resolved = resolve(ExperimentSpec(clients=0, rule="krum", threshold=5))
    assert resolved.spec.clients == 0
    assert resolved.spec.rule.startswith("krum")
    assert resolved.spec.threshold == 5
    assert resolve(ExperimentSpec(clients=0)).spec.threshold is None
    with pytest.raises(InvalidValue, match="ATTACK"):
        resolve(ExperimentSpec(clients=0, attack=1))
    with pytest.raises(InvalidValue, match="PARTITION"):
        resolve(ExperimentSpec(clients=0, partition="iid"))


@pytest.mark.parametrize("model", ["net", "lenet5", "cnn", "mlp"])
def test_auto_names_the_trainer_whatever_else_is_asked_for(model: str) -> None:
    for more in ({}, {"clients": 1, "attack": 0}, {"batch": 64, "optimizer": "adam"}):
        assert resolved(model=model, **more)["trainer"] == "cohort"
    for trainer in ("cohort", "loop"):
        assert resolved(model=model, trainer=trainer)["trainer"] == trainer


def test_a_model_that_the_engine_cannot_run_takes_the_loop_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(
        monkeypatch, lambda inputs: nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.PReLU())
    )
    assert resolved(model="own")["trainer"] == resolved(model="own", trainer="loop")["trainer"]
    said = r"TRAINER=auto is loop with MODEL=own: .*2 \(PReLU\)"
    assert re.search(said, notes(model="own", attack=0))
    recipe = {"lr": 0.1, "batch": 4, "epochs": 1}
    assert notes(model="own", attack=0, trainer="loop", **recipe) == ""
    with pytest.raises(InvalidValue, match=r"TRAINER='cohort'.* MODEL=own: .*2 \(PReLU\)"):
        resolved(model="own", trainer="cohort")


def test_the_assumed_f_is_spelled_out_and_noted() -> None:
    assert resolved(rule="krum")["rule"] == "krum:f=20"
    assert notes(rule="krum") == (
        "krum assumes f=20 hostile participants, a fifth of 100; set RULE=krum:f=N to change it"
    )
    assert resolved(rule="krum", threshold=50)["rule"] == "krum:f=10"


def test_a_given_f_is_kept_without_a_note() -> None:
    assert resolved(rule="krum:f=30")["rule"] == "krum:f=30"
    assert notes(rule="krum:f=30") == ""


@pytest.mark.parametrize("rule", ["bucketing/fedavg", "clipping/median", "clipping/fedavg"])
def test_nothing_is_noted_of_an_f_that_no_step_of_a_chain_has(rule: str) -> None:
    assert notes(rule=rule) == ""


def test_the_assumed_f_of_a_chain_is_noted() -> None:
    assert notes(rule="nnm/median") == (
        "nnm/median assumes f=20 hostile participants, a fifth of 100; "
        "set RULE=nnm:f=N/median to change it"
    )


def test_who_comes_too_seldom_for_a_memory_is_noted() -> None:
    sampled = {"rule": "fldetector", "participation": 0.05, "rounds": 1000}
    assert notes(**sampled).startswith("fldetector is hardly more than the mean: each participant")
    assert "every 20 rounds, and after more than window=10" in notes(**sampled)
    assert notes(**sampled | {"rule": "clipping/fldetector"}) == notes(**sampled)
    assert notes(**sampled | {"rule": "fldetector:window=20"}) == ""
    assert "window=10 times, which takes about 12" in notes(rule="fldetector", rounds=11)
    assert notes(rule="fldetector", rounds=12) == ""
    assert "about 120" in notes(rule="fldetector", participation=0.1, rounds=119)


def test_nothing_to_say_about_the_default_run() -> None:
    assert notes() == ""


def test_the_threshold_is_filled_in() -> None:
    assert resolved(clients=30)["threshold"] == 30
    assert resolved(clients=30, threshold=20)["threshold"] == 20


def test_all_samples_can_be_shared_out() -> None:
    assert resolved(samples=0, partition="iid")["samples"] == 0


def test_the_scale_goes_into_the_attack() -> None:
    assert attacks.parse(resolved(scale=5)["attack_name"]) == attacks.Mpaf(scale=5.0)
    assert notes(scale=5) == ""


def test_a_scale_in_the_attack_wins_and_is_noted() -> None:
    spec = resolved(attack_name="mpaf:scale=3", scale=5)
    assert spec["scale"] == 3
    assert attacks.parse(spec["attack_name"]) == attacks.Mpaf(scale=3.0)
    assert notes(attack_name="mpaf:scale=3", scale=5).startswith("SCALE=5 has no effect")
    assert notes(attack_name="mpaf:scale=3") == ""


@each(
    ("settings", "note"),
    [
        (
            {"attack": 0.51},
            "51 of 100 participants are hostile, more than half: no rule can hold",
        ),
        ({"attack": 0.5}, ""),
        ({"attack": 0.25, "clients": 10}, "ATTACK=0.25 of 10 participants is 2.5: 3 are hostile"),
        ({"attack": 0.001}, "ATTACK=0.001 of 100 participants is 0.1: 0 are hostile"),
        ({"attack": 0.3, "rule": "krum:f=10"}, "30 participants are hostile, more than the f=10"),
        (
            {"attack_name": "badnets:concentration=0.1"},
            "concentration=0.1 of 4 samples is 0.4: each attacker poisons 1",
        ),
        ({"attack_name": "badnets:concentration=0.1", "samples": 30}, ""),
        (
            {"attack_name": "badnets:concentration=0.1", "attack": 0},
            "ATTACK_NAME=badnets:concentration=0.1 has no effect: ATTACK=0",
        ),
        ({"attack_name": "label-flip:kind=pair,concentration=0.1"}, ""),
        (
            {"attack_name": "adaptive-alie", "audit": "norm"},
            "adaptive-alie searches against the rule alone, as if there were no AUDIT",
        ),
        ({"attack_name": "adaptive-alie"}, ""),
    ],
)
def test_what_is_worth_knowing_is_noted(settings: dict[str, object], note: str) -> None:
    assert notes(**settings).startswith(note)
    assert bool(notes(**settings)) == bool(note)


def test_the_rule_must_work_with_those_that_send_beside_participants_that_stay_away() -> None:
    away: dict[str, object] = {"attack_name": "absent", "rule": "bulyan:f=20"}
    assert resolved(rule="bulyan:f=20")["rule"] == "bulyan:f=20"
    with pytest.raises(
        InvalidValue, match=r"^ATTACK_NAME='absent' .* f=20 .* = 83 .*, there are 80$"
    ):
        resolved(**away)
    with pytest.raises(
        InvalidValue, match=r"^ATTACK_NAME='absent' .* f=10 .* = 43 .*, there are 40$"
    ):
        resolved(attack_name="absent", rule="bulyan:f=10", participation=0.5)
    assert resolved(**away | {"clients": 104})["rule"] == "bulyan:f=20"  # 83 of them benign
    assert resolved(**away | {"attack": 0})["rule"] == "bulyan:f=20"
    # The rule is the one that it is beside any other attack.
    assert resolved(attack_name="absent", rule="krum")["rule"] == "krum:f=20"


def test_the_audit_must_work_with_those_that_send_beside_participants_that_stay_away() -> None:
    few: dict[str, object] = {"audit": "norm", "clients": 4, "attack": 0.5}
    assert resolved(**few)["audit"]
    with pytest.raises(InvalidValue, match=r"^AUDIT='norm' .* fewer than 3 .* there are 2$"):
        resolved(**few, attack_name="absent")


def test_not_all_participants_can_stay_away() -> None:
    with pytest.raises(InvalidValue, match=r"^ATTACK_NAME='absent' .* ATTACK=1 no participant"):
        resolved(attack=1, attack_name="absent")


@each(
    ("settings", "text"),
    [
        ({"rule": "krun"}, "RULE='krun' is not possible: did you mean krum?"),
        ({"rule": "krum:f=-1"}, "RULE='krum:f=-1' is not possible: at krum:f, "),
        ({"rule": "krum:g=1"}, "RULE='krum:g=1' is not possible: at krum:g, it takes f"),
        ({"rule": "krum:f=50"}, "RULE='krum:f=50' is not possible: "),  # n - f - 2 < 1 or 2f >= n
        ({"rule": "krum", "clients": 2}, "RULE='krum' is not possible: "),
        ({"attack_name": "mpfa"}, "ATTACK_NAME='mpfa' is not possible: did you mean mpaf"),
        ({"attack_name": "mpaf:scale=0"}, "ATTACK_NAME='mpaf:scale=0' is not possible: at mpaf:"),
        ({"model": "lenet"}, "MODEL='lenet' is not possible: there is no such model, did you mean"),
        (
            {"model": "cnn", "dataset": "digits", "init": "pretrained"},
            "INIT='pretrained' is not possible: no checkpoint ships for cnn on digits",
        ),
        ({"dataset": "minst"}, "DATASET='minst' is not possible: there is no such data set, did"),
        ({"partition": "dirichlet:x"}, "PARTITION='dirichlet:x' is not possible: "),
        ({"partition": "even"}, "PARTITION='even' is not possible: "),
        ({"audit": "nrom"}, "AUDIT='nrom' is not possible: did you mean norm?"),
        ({"audit": "norm/"}, "AUDIT='norm/' is not possible: There are: "),
        ({"audit": "norm", "clients": 2}, "AUDIT='norm' is not possible: norm tells nothing among"),
        ({"rule": "nnm/"}, "RULE='nnm/' is not possible: There are: "),
        ({"rule": "krum:f=1,f=2"}, "RULE='krum:f=1,f=2' is not possible: at krum:f, given twice"),
        ({"rule": "bulyan:f=30"}, "RULE='bulyan:f=30' is not possible: bulyan with f=30 needs at "),
        ({"attack": 0, "intrusions": "sybils"}, "INTRUSIONS='sybils' is not possible: "),
        (
            {"attack_name": "absent", "intrusions": "sybils"},
            "INTRUSIONS='sybils' is not possible: ",
        ),
        (
            {"clients": 10, "attack": 0.01, "intrusions": "sybils"},
            "INTRUSIONS='sybils' is not possible: ",
        ),
        ({"samples": 0}, "SAMPLES=0 is not possible: partition sample needs 1 or more"),
        (
            {"dataset": "digits", "attack_name": "badnets:target=10"},
            "ATTACK_NAME='badnets:target=10' is not possible: at badnets:target, a class of the "
            "data set, 0 to 9",
        ),
        (
            {"dataset": "digits", "attack_name": "badnets:target=10", "attack": 0},
            "ATTACK_NAME='badnets:target=10' is not possible: at badnets:target, a class of the ",
        ),
        (
            {"dataset": "digits", "attack_name": "dba:target=10", "clients": 0},
            "ATTACK_NAME='dba:target=10' is not possible: at dba:target, a class of the data set",
        ),
        (
            {"dataset": "digits", "attack_name": "label-flip:kind=pair,source=10"},
            "ATTACK_NAME='label-flip:kind=pair,source=10' is not possible: at label-flip:source, ",
        ),
        (
            {"dataset": "digits", "attack_name": "badnets:size=27"},
            "ATTACK_NAME='badnets:size=27' is not possible: badnets needs pictures of 29x29 or "
            "more; the data set has grey pictures of 28x28",
        ),
    ],
)
def test_what_cannot_work_is_refused_under_its_variable(
    settings: dict[str, object], text: str
) -> None:
    spec = ExperimentSpec.of(settings)
    with pytest.raises(InvalidValue) as caught:
        resolve(spec)
    assert str(caught.value).startswith(text)


def test_the_rule_that_repeats_the_training_takes_the_optimiser_of_the_participants() -> None:
    assert resolved(rule="fltrust")["rule"] == (
        "fltrust:root=100,lr=0.001,momentum=0.9,epochs=2,batch=4,optimizer=sgd"
    )
    asked = resolved(rule="fltrust", optimizer="adam", lr=0.01)
    assert asked["rule"] == "fltrust:root=100,lr=0.01,momentum=0.0,epochs=2,batch=4,optimizer=adam"
    assert asked["momentum"] == 0
    assert resolved(**asked) == asked


def test_fednova_has_no_formula_for_adam() -> None:
    spec = ExperimentSpec(rule="fednova", optimizer="adam")
    with pytest.raises(InvalidValue) as caught:
        resolve(spec)
    assert str(caught.value) == (
        "RULE='fednova' is not possible: at fednova:optimizer, sgd: how much Adam adds up does not "
        "follow from the number of its steps"
    )
    # Who insists may have it reckon as if they were steps of plain SGD.
    insisting = resolve(ExperimentSpec(rule="fednova:optimizer=sgd", optimizer="adam"))
    assert "momentum=0.0" in insisting.spec.rule
    assert (
        "fednova reckons with optimizer=sgd, but the participants train with optimizer=adam"
        in insisting.notes
    )


def test_fednova_reckons_with_the_proximal_term_of_the_participants() -> None:
    for rule in ("fednova", "nnm/fednova"):
        resolved = resolve(ExperimentSpec(rule=rule, momentum=0, prox=0.1, lr=0.5))
        assert "mu=0.1,lr=0.5" in resolved.spec.rule
        with pytest.raises(InvalidValue, match=r"0 where there is momentum, here 0\.9"):
            resolve(ExperimentSpec(rule=rule, prox=0.1))
    other = resolve(ExperimentSpec(rule="fednova:mu=0.2", momentum=0, prox=0.1))
    assert "fednova reckons with mu=0.2, but the participants train with mu=0.1" in other.notes


def test_epochs_are_a_number_or_a_range() -> None:
    for text, kept, ends in (
        (3, 3, (3, 3)),
        ("3", 3, (3, 3)),
        ("2-2", 2, (2, 2)),
        ("1-4", "1-4", (1, 4)),
        (" 1 - 4 ", "1-4", (1, 4)),
    ):
        spec = ExperimentSpec.of({"epochs": text})
        assert (spec.epochs, spec.epochs_range) == (kept, ends)
        assert ExperimentSpec.from_yaml(spec.to_yaml()) == spec
    for wrong in ("4-1", "0-3", "1-", "-2", "1-2-3", "1-4.5", 0, ""):
        with pytest.raises(InvalidValue, match="or a range such as 1-4"):
            ExperimentSpec.of({"epochs": wrong})


def test_a_rule_that_trains_itself_takes_the_middle_of_a_range_of_epochs() -> None:
    resolved = resolve(ExperimentSpec(rule="fltrust", epochs="1-4"))
    assert "epochs=2" in resolved.spec.rule
    assert "fltrust trains for 2 epochs itself, participants for 1-4" in resolved.notes


@pytest.mark.parametrize(
    ("rule", "note"),
    [
        ("fednova:momentum=0.5", "fednova reckons with momentum=0.5, but .* train with momentum=0"),
        ("fltrust:lr=1", "fltrust reckons with lr=1.0, but .* train with lr=0.001"),
        ("nnm/fltrust:epochs=9", "fltrust reckons with epochs=9, but .* train with epochs=2"),
    ],
)
def test_a_rule_that_reckons_with_another_training_is_noted(rule: str, note: str) -> None:
    assert any(re.match(note, found) for found in resolve(ExperimentSpec(rule=rule)).notes)


def test_a_rule_that_reckons_without_weight_decay_is_noted() -> None:
    for rule, noted in (("fltrust", True), ("nnm/fednova", True), ("median", False)):
        notes = resolve(ExperimentSpec(rule=rule, weight_decay=0.01)).notes
        assert any("without the participants' weight_decay=0.01" in note for note in notes) == noted


def test_a_rule_that_is_told_the_training_is_not_noted() -> None:
    for rule in ("fednova", "fltrust", "nnm/fltrust", "fednova:momentum=0.9"):
        notes = resolve(ExperimentSpec(rule=rule, lr=0.01)).notes
        assert not any("reckons with" in note for note in notes)


@settings(deadline=None)
@given(
    attack=st.floats(0, 1),
    attack_name=st.sampled_from(attacks.names()),
    scale=st.floats(1e-3, 1e9),
    clients=st.integers(10, 1000),
    rule=st.sampled_from(["fedavg", "median", "krum", "krum:f=1", "trimmed-mean"]),
    partition=st.sampled_from(["sample", "iid", "dirichlet:0.5"]),
)
def test_settling_twice_changes_nothing(**drawn: object) -> None:
    try:
        once = resolve(ExperimentSpec.of(drawn)).spec
    except InvalidValue as error:  # too few or too many are hostile for some attacks
        if error.name != "ATTACK_NAME":
            raise
        return
    again = resolve(ExperimentSpec.from_yaml(once.to_yaml()))
    assert again.spec == once
    assert not any("assumes" in note for note in again.notes)


@pytest.mark.parametrize(
    ("attack", "knowledge"),
    [
        ("mpaf", "none, the broadcast model only"),
        ("badnets", "partial, what its own compromised participants would have sent"),
        ("alie:knowledge=full", "full, the benign updates of the round"),
    ],
)
def test_the_knowledge_of_an_attack_is_named(attack: str, knowledge: str) -> None:
    assert str(resolve(ExperimentSpec(attack_name=attack)).knowledge) == knowledge
    assert resolve(ExperimentSpec(attack_name=attack, attack=0)).knowledge is None


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({"attack": 0, "attack_name": "alie"}, "ATTACK_NAME=alie has no effect: ATTACK=0"),
        ({"attack": 0, "scale": 9}, "SCALE=9 has no effect: ATTACK=0"),
        (
            {"leaked": 3, "admission": "open"},
            "LEAKED=3 has no effect: ADMISSION=open asks for no credentials",
        ),
        ({"leaked": 3, "admission": "token", "attack": 0}, "LEAKED=3 has no effect: ATTACK=0"),
        (
            {"leaked": 3, "admission": "mtls", "clients": 10},
            "LEAKED=3 is as 2, the attacker's identities",
        ),
    ],
)
def test_what_has_no_effect_is_noted(settings: dict[str, object], note: str) -> None:
    spec = ExperimentSpec.of(settings)
    assert note in resolve(spec).notes
    assert note not in resolve(ExperimentSpec()).notes


def test_nothing_is_said_of_what_has_an_effect_or_its_default() -> None:
    for wanted in ({"leaked": 3, "admission": "token"}, {"attack": 0}, {"attack": 0.2}):
        said = resolve(ExperimentSpec.of({"clients": 100, **wanted})).notes
        assert not [note for note in said if "no effect" in note or "LEAKED" in note]


def test_min_clients_is_refused_where_the_number_of_clients_is_fixed() -> None:
    with pytest.raises(InvalidValue, match=r"^MIN_CLIENTS=3 .* only with CLIENTS=0: CLIENTS=100"):
        resolve(ExperimentSpec(min_clients=3))
    assert resolve(ExperimentSpec(clients=0, min_clients=3)).spec.min_clients == 3
