"""Settling a specification: every name looked up, nothing left open.

``ExperimentSpec.settle`` is how it is called.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fedsiege.catalogue import spell
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.spec import ExperimentSpec, exactly, no_such, share_of


@dataclass(frozen=True)
class Settled:
    """A specification with nothing left open.

    Attributes:
        spec: threshold, rule and attack are complete; feeding it back gives the same experiment.
        notes: what was assumed or noticed, one sentence each, for people.
        knowledge: what the attack is handed, its level first; empty without an attack.
    """

    spec: ExperimentSpec
    notes: tuple[str, ...] = ()
    knowledge: str = ""


def settle(spec: ExperimentSpec) -> Settled:
    """Look every name up, check that it all fits together, and fill in what follows.

    See ``ExperimentSpec.settle``.
    """
    # Here and not above: these bring torch, which a help text must not wait for.
    from fedsiege import aggregation, attacks

    _check_task(spec)
    with _about("ATTACK_NAME", spec.attack_name, "attack"):
        attack = attacks.parse(spec.attack_name, scale=spec.scale)
        attack_name = spell(attack)
    if spec.clients == 0 and attack.aliases != 1:
        allowed = f"with CLIENTS=0 none with several identities, as {attack.name} has"
        raise InvalidValue("ATTACK_NAME", spec.attack_name, allowed)
    scheduled = max(1, share_of(spec.clients, spec.participation)) if spec.clients else 0
    if spec.threshold is not None and 0 < scheduled < spec.threshold:
        allowed = f"at most {scheduled}, the participants that PARTICIPATION schedules"
        raise InvalidValue("THRESHOLD", spec.threshold, allowed)
    updates = spec.threshold or scheduled
    with _about("RULE", spec.rule, "rule"):
        # Rules that reckon with the participants' training, or repeat it, assume this one.
        training = {"lr": spec.lr, "momentum": spec.momentum}
        training |= {"epochs": spec.epochs, "batch": spec.batch}
        asked = aggregation.parse(spec.rule, **training)
        rule = asked.for_participants(updates) if updates else asked
        rule_name = spell(rule)
    # In sampled rounds, or with an open number, who is there is not known before.
    if spec.hostile and spec.participation == 1:
        with _about("ATTACK_NAME", spec.attack_name, "attack"):
            attack.check(attacks.Setting(spec.clients - spec.hostile, spec.hostile, rule_name))

    settled = spec.model_copy(
        update={
            "attack_name": attack_name,
            "scale": getattr(attack, "scale", spec.scale),
            "threshold": updates or None,
            "rule": rule_name,
        }
    )
    assumed = updates > 0 and getattr(asked, "f", 0) is None
    if spec.audit:
        from fedsiege import audit

        with _about("AUDIT", spec.audit, "detector"):
            auditing = audit.parse(spec.audit)
            if scheduled:
                auditing.check(scheduled)
        settled = settled.model_copy(update={"audit": audit.spell(auditing)})
    notes = (*_notes_on_attack(spec, attack), *_notes_on_rule(spec, rule, updates, assumed))
    level = attack.knows
    known = f"{level.name.lower()}, {level.value}" if spec.attack else ""
    return Settled(settled, notes, known)


def _check_task(spec: ExperimentSpec) -> None:
    """Check the model, the data and how they are shared out, and what goes with them."""
    from fedsiege import datasets, models, partition

    if spec.model not in models.names():
        raise InvalidValue("MODEL", spec.model, no_such("model", spec.model, models.names()))
    sets = ["auto", *(name for name in datasets.names() if name != "auto")]
    if spec.dataset not in sets:
        raise InvalidValue("DATASET", spec.dataset, no_such("data set", spec.dataset, sets))
    with _about("PARTITION", spec.partition, "partition"):
        share = partition.create(spec.partition)
    if spec.clients == 0:
        _check_open(spec, share.name)
    if spec.intrusions and spec.attack == 0:
        allowed = "with ATTACK above 0 only: there is nobody to try them"
        raise InvalidValue("INTRUSIONS", spec.intrusions, allowed)
    if share.name == "sample" and spec.samples == 0:
        allowed = "partition sample needs 1 or more; iid and dirichlet share out all there are"
        raise InvalidValue("SAMPLES", spec.samples, allowed)


def _check_open(spec: ExperimentSpec, partition: str) -> None:
    """Refuse what cannot be done while the number of participants is open."""
    if spec.attack == 1:
        allowed = "with CLIENTS=0 it must be below 1: fakes are counted against benign ones"
        raise InvalidValue("ATTACK", spec.attack, allowed)
    if partition != "sample":
        allowed = "with CLIENTS=0 only sample: shares of a whole need a number of participants"
        raise InvalidValue("PARTITION", spec.partition, allowed)


def _notes_on_attack(spec: ExperimentSpec, attack: Any) -> Iterator[str]:  # any catalogued attack
    """Say what has no effect, and how many are hostile where that is no whole number."""
    strength = getattr(attack, "scale", None)
    if strength is None and spec.scale != ExperimentSpec.model_fields["scale"].default:
        yield f"SCALE={spec.scale:g} has no effect: {attack.name} has no scale"
    elif strength is not None and strength != spec.scale and "scale" in spec.model_fields_set:
        yield f"SCALE={spec.scale:g} has no effect: ATTACK_NAME={spec.attack_name} sets it"
    exact = exactly(spec.attack) * spec.clients
    if exact != spec.hostile:
        yield (
            f"ATTACK={spec.attack:g} of {spec.clients} participants is {float(exact):g}: "
            f"{spec.hostile} are hostile"
        )


def _notes_on_rule(
    spec: ExperimentSpec,
    rule: Any,  # any rule
    updates: int,
    assumed: bool,
) -> Iterator[str]:
    """Say what is assumed of the hostile participants, and where it does not hold."""
    f = getattr(rule, "f", None)
    if updates and (remark := rule.remark(updates)):
        yield remark
    if assumed:
        yield (
            f"{rule.name} assumes f={f} hostile participants, a fifth of {updates}; "
            f"set RULE={spell(rule).replace(f'f={f}', 'f=N')} to change it"
        )
    if 2 * spec.hostile > spec.clients:
        yield (
            f"{spec.hostile} of {spec.clients} participants are hostile, "
            "more than half: no rule can hold"
        )
    elif f is not None and spec.hostile > f:
        yield f"{spec.hostile} participants are hostile, more than the f={f} of {rule.name}"


@contextmanager
def _about(variable: str, value: str, noun: str) -> Iterator[None]:
    """Name the variable of the command line in errors about a thing it describes."""
    try:
        yield
    except InvalidValue as error:
        where = "" if error.name == noun else f"at {error.name}, "
        raise InvalidValue(variable, value, where + error.allowed) from error
    except UnfitRound as error:
        raise InvalidValue(variable, value, str(error)) from error
