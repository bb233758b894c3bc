"""Resolving a specification: every name looked up, nothing left open."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fedsiege import grammar
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.experiment.hostile import exactly, fakes_beside, hostile_indices, share_of
from fedsiege.experiment.knowledge import Knowledge
from fedsiege.experiment.recipes import RECIPE_SETTINGS
from fedsiege.experiment.settings import no_such
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.inputs import Inputs
from fedsiege.registry import spell

if TYPE_CHECKING:
    from fedsiege.datasets import DatasetSource

#: Benign participants up to which it is looked whether an attack works with an open number of them.
_MOST_OPEN = 10_000
#: Settings that are parameters of data sets of pictures.
_PREPROCESSING = ("size", "channels", "normalise")
#: Participants up to which a rule is tried: beyond them that would take long, and much memory.
_MOST_TRIED = 1_000


@dataclass(frozen=True)
class ResolvedSpec:
    """A specification with nothing left open.

    Attributes:
        spec: threshold, rule, attack and trainer are complete; feeding it back gives the same
            experiment.
        notes: what was assumed or noticed, one sentence each, for people.
        inputs: what a model takes of the data set; None where that is known only when it is read.
            Then what depends on it is neither checked nor resolved yet; see ``with_inputs``.
        class_names: the names of the classes, where the data set has been read and has some.
    """

    spec: ExperimentSpec
    notes: tuple[str, ...] = ()
    inputs: Inputs | None = None
    class_names: tuple[str, ...] = ()

    @property
    def knowledge(self) -> Knowledge | None:
        """What the attack is handed; None without an attack."""
        return Knowledge.of(self.spec)

    def with_inputs(self, inputs: Inputs) -> "ResolvedSpec":
        """Return this for a data set that has been read.

        Raises:
            InvalidValue: the model, the attack or the rule does not work with such inputs.
        """
        if inputs == self.inputs:
            return self
        again = resolve(self.spec, deadline=None, inputs=inputs)
        return replace(again, notes=tuple(dict.fromkeys((*self.notes, *again.notes))))


def resolve(
    spec: ExperimentSpec, *, deadline: float | None = 30.0, inputs: Inputs | None = None
) -> ResolvedSpec:
    """Look up every name of a specification, check that all of it fits, fill in what follows.

    Filled in are the threshold, all parameters of the rule with the ``f`` and the training it
    assumes, and all parameters of the attack with ``scale`` where it has one. The initial weights
    are left to the aggregator. Resolving a resolved specification changes nothing.

    Args:
        spec: what was asked for.
        deadline: seconds after which a round closes where ``spec`` sets none. None for rounds that
            wait for every participant: right where the death of a worker is noticed, because the
            speed of the machine then decides nothing.
        inputs: what a model takes of the data set, if it has been read.

    Raises:
        InvalidValue: an unknown name, or a rule or an attack that cannot work with that many
            updates.
    """
    # Here and not above: these bring torch, which a help text must not wait for.
    from fedsiege import attacks, privacy, rules
    from fedsiege.experiment import protection

    spec = spec.model_copy(update={"deadline": spec.deadline or deadline})
    spec, on_recipe = _trained_by_recipe(spec)
    spec, on_norm = _normalised(spec)
    inputs = inputs or _known_inputs(spec)
    _check_task(spec, inputs)
    with _about("ATTACK_NAME", spec.attack_name, "attack"):
        attack = attacks.parse(spec.attack_name, scale=spec.scale)
        attack_name = spell(attack)
    if spec.clients == 0 and attack.aliases != 1:
        allowed = f"with CLIENTS=0 none with several identities, as {attack.name} has"
        raise InvalidValue("ATTACK_NAME", spec.attack_name, allowed)
    hostile = attack.aliases * (spec.hostile if spec.clients else spec.attack)
    if spec.intrusions and not hostile:
        allowed = "only with an ATTACK above 0: hostile participants try them"
        raise InvalidValue("INTRUSIONS", spec.intrusions, allowed)
    scheduled = max(1, share_of(spec.clients, spec.participation)) if spec.clients else 0
    if spec.threshold is not None and 0 < scheduled < spec.threshold:
        allowed = f"at most {scheduled}, the participants that PARTICIPATION schedules"
        raise InvalidValue("THRESHOLD", spec.threshold, allowed)
    updates = spec.threshold or scheduled
    sending = _sending(spec, attack, scheduled)
    with _about("RULE", spec.rule, "rule"):
        # Rules that reckon with the participants' training, or repeat it, assume this one.
        local = {"lr": spec.lr, "momentum": spec.momentum, "optimizer": spec.optimizer}
        local |= {"epochs": sum(spec.epochs_range) // 2, "batch": spec.batch, "mu": spec.prox}
        asked = rules.parse(spec.rule, **local)
        if inputs is not None:
            asked.check_inputs(inputs)
        rule = asked.for_participants(updates) if updates else asked
        rule_name = spell(rule)
    with _about("ATTACK_NAME", spec.attack_name, "attack"):
        if sending:
            # Not resolved for these: beside an attack that stays away the rule assumes the same f.
            rule.check(min(updates, sending))
        unfit = _check_attack(spec, attack, asked, rule, scheduled, inputs)

    trainer, why = _resolve_trainer(spec, inputs)
    resolved = spec.model_copy(
        update={
            "trainer": trainer,
            "attack_name": attack_name,
            "scale": getattr(attack, "scale", spec.scale),
            "threshold": updates or None,
            "rule": rule_name,
            "dataset": spelled_dataset(spec),
        }
    )
    assumed = getattr(asked, "f", None) is None and getattr(rule, "f", None) is not None
    if spec.audit:
        from fedsiege import detectors

        with _about("AUDIT", spec.audit, "detector"):
            auditing = detectors.parse(spec.audit)
            if sending:
                auditing.check(sending)
        resolved = resolved.model_copy(update={"audit": detectors.spell(auditing)})
    if spec.privacy:
        with _about("PRIVACY", spec.privacy, "privacy"):
            resolved = resolved.model_copy(update={"privacy": spell(privacy.parse(spec.privacy))})
    notes = (
        *filter(None, [why]),
        *on_recipe,
        *on_norm,
        *_notes_on_data(spec),
        *_notes_on_attack(spec, attack),
        *filter(None, [unfit]),
        *_notes_on_rule(spec, rule, updates, assumed),
        *_notes_on_training(spec, rule, local),
        *protection.check(spec, rule, inputs),
    )
    return ResolvedSpec(resolved, notes, inputs)


def _sending(spec: ExperimentSpec, attack: Any, scheduled: int) -> int:  # any registered attack
    """Return how many participants send an update in each round: those scheduled, if all are there.

    With an attack that holds no identity the hostile participants stay away, and a share of the
    others is scheduled; see ``fedsiege.experiment.roster``.

    Raises:
        InvalidValue: all participants stay away.
    """
    if not scheduled or attack.aliases:
        return scheduled
    benign = spec.clients - spec.hostile
    if not benign:
        allowed = f"with ATTACK={spec.attack:g} no participant would send: hostile ones stay away"
        raise InvalidValue("ATTACK_NAME", spec.attack_name, allowed)
    return max(1, share_of(benign, spec.participation))


def _known_inputs(spec: ExperimentSpec) -> Inputs | None:
    """Return what is known of the inputs of a data set that has not been read.

    Raises:
        InvalidValue: there is no such data set, or it has no such parameters.
    """
    from fedsiege import datasets

    dataset = spec.dataset
    if dataset == datasets.AUTO:  # all that it may be have the same
        return _with_preprocessing(spec, "digits").inputs
    sets = [datasets.AUTO, *(name for name in datasets.names() if name != datasets.AUTO)]
    _check_name("DATASET", dataset, "data set", sets)
    return _with_preprocessing(spec, dataset).inputs


def _trained_by_recipe(spec: ExperimentSpec) -> tuple[ExperimentSpec, list[str]]:
    """Return a specification with learning rate, batch and epochs, and a note on those filled in.

    There is no note on the defaults of all settings.
    """
    unset = [name for name in RECIPE_SETTINGS if getattr(spec, name) is None]
    filled = {name: getattr(spec.recipe, name) for name in unset}
    notes = []
    if unset and spec.recipe != ExperimentSpec().recipe:
        values = ", ".join(f"{name} {value}" for name, value in filled.items())
        notes.append(f"{values}: the recipe of MODEL={spec.model} on DATASET={spec.dataset}")
    return spec.model_copy(update=filled), notes


def _normalised(spec: ExperimentSpec) -> tuple[ExperimentSpec, list[str]]:
    """Return a specification whose model has all its parameters, and notes on NORM.

    NORM sets how the model is normalised, if the model has that parameter and its text does not.
    """
    from fedsiege import models

    _check_name("MODEL", spec.model, "model", models.names())
    with _about("MODEL", spec.model, "model"):
        model = models.parse(spec.model, **({"norm": spec.norm} if spec.norm else {}))
    norm, notes = getattr(model, "norm", None), []
    if spec.norm and norm is None:
        notes.append(f"NORM={spec.norm} has no effect: {model.name} has no normalisation to choose")
    elif spec.norm and norm != spec.norm:
        notes.append(f"NORM={spec.norm} has no effect: MODEL={spec.model} sets it")
    if norm == "local":
        notes.append(
            "norm=local: the model classifies a sample by the others of its batch, in the test, "
            "too, whose batches are the same in every round"
        )
    return spec.model_copy(update={"model": spell(model)}), notes


def _check_task(spec: ExperimentSpec, inputs: Inputs | None) -> None:
    """Check the model, the data and how they are shared out, and what goes with them."""
    from fedsiege import models, partitions
    from fedsiege.models import imagenet

    with _about("MODEL", spec.model, "model"):
        if inputs is not None:
            classifier = models.Classifier(spec.model, inputs)
            models.layout(classifier)  # refuses a model that does not take them
            models.check_shapes(classifier)
    with _about("PARTITION", spec.partition, "partition"):
        share = partitions.parse(spec.partition)
    if spec.augment and inputs is not None and not inputs.pictures:
        allowed = f"empty with DATASET={spec.dataset}: only pictures are varied"
        raise InvalidValue("AUGMENT", spec.augment, allowed)
    if spec.init == "pretrained" and spec.dataset != "auto":
        with _about("INIT", spec.init, "init"):
            models.shipped_checkpoint(spec.model, spec.dataset)
    if spec.init == "imagenet":
        with _about("INIT", spec.init, "init"):
            imagenet.file_name(spec.model)
    if spec.clients == 0:
        _check_open(spec, share.name)
    elif spec.min_clients is not None:
        allowed = f"only with CLIENTS=0: CLIENTS={spec.clients} says how many are waited for"
        raise InvalidValue("MIN_CLIENTS", spec.min_clients, allowed)
    try:
        share.check_samples(spec.samples)
    except InvalidValue as error:
        raise InvalidValue("SAMPLES", spec.samples, error.allowed) from error


def spelled_dataset(spec: ExperimentSpec) -> str:
    """Return the data set as text with all its parameters; "auto" stays.

    Raises:
        InvalidValue: it does not take SIZE, CHANNELS or NORMALISE.
    """
    from fedsiege import datasets

    text = spec.dataset
    return text if text == datasets.AUTO else spell(_with_preprocessing(spec, text))


def _with_preprocessing(spec: ExperimentSpec, text: str) -> "DatasetSource":
    """Return a data set with SIZE, CHANNELS and NORMALISE where its text does not set them.

    Raises:
        InvalidValue: it is no data set, or does not take one of them.
    """
    from fedsiege import datasets

    given = {name: getattr(spec, name) for name in _PREPROCESSING}
    given = {name: value for name, value in given.items() if value is not None}
    with _about("DATASET", text, "dataset"):
        source = datasets.parse(text, **given)
    for name, value in given.items():
        if not hasattr(source, name):
            allowed = f"unset with DATASET={text}, which has no pictures"
            raise InvalidValue(name.upper(), value, allowed)
    return source


def _notes_on_data(spec: ExperimentSpec) -> Iterator[str]:
    """Yield notes on settings of the preprocessing that the data set sets itself."""
    if spec.dataset == "auto":
        return
    source = _with_preprocessing(spec, spec.dataset)
    for name in _PREPROCESSING:
        value = getattr(spec, name)
        if value is not None and getattr(source, name) != value:
            yield f"{name.upper()}={value} has no effect: DATASET={spec.dataset} sets it"


def _check_name(variable: str, text: str, noun: str, names: list[str]) -> None:
    """Raise InvalidValue, with the nearest name, if a component is none of those there are."""
    name, _ = grammar.component(text)
    if name not in names:
        raise InvalidValue(variable, text, no_such(noun, name, names))


def _resolve_trainer(spec: ExperimentSpec, inputs: Inputs | None) -> tuple[str, str]:
    """Return how participants compute, "auto" only without inputs, and a note that may surprise.

    Raises:
        InvalidValue: TRAINER=cohort, and the engine cannot run the model.
    """
    from fedsiege import models
    from fedsiege.training import choice

    if inputs is None:
        return spec.trainer, ""
    module = models.Classifier(spec.model, inputs).create()
    if spec.trainer == "auto":
        fitting, reason = choice.resolve_auto(module)
        return fitting, reason and f"TRAINER=auto is {fitting} with MODEL={spec.model}: {reason}"
    if spec.trainer == "cohort":
        try:
            choice.check_cohort(module)
        except InvalidValue as error:
            allowed = f"auto or loop with MODEL={spec.model}: {error}"
            raise InvalidValue("TRAINER", spec.trainer, allowed) from error
    return spec.trainer, ""


def _check_open(spec: ExperimentSpec, partitions: str) -> None:
    """Refuse what cannot be done while the number of participants is open."""
    if spec.attack == 1:
        allowed = "with CLIENTS=0 it must be below 1: fakes are counted against benign ones"
        raise InvalidValue("ATTACK", spec.attack, allowed)
    if partitions != "sample":
        allowed = "with CLIENTS=0 only sample: shares of a whole need a number of participants"
        raise InvalidValue("PARTITION", spec.partition, allowed)


def _check_attack(
    spec: ExperimentSpec,
    attack: Any,  # any registered attack
    asked: Any,  # any rule
    rule: Any,  # the same for as many as are scheduled, where that is known
    scheduled: int,
    inputs: Inputs | None,
) -> str:
    """Refuse an attack that cannot work in any round that there may be.

    Which participants take part in a sampled round, or with an open number of participants, is not
    known before; but how many hostile ones there may be among how many.

    Returns:
        What there is to know of an attack that does not work in the likeliest round.

    Raises:
        UnfitRound: it works in none.
    """
    from fedsiege.attacks import Setting

    indices = frozenset(hostile_indices(spec.clients, spec.attack)) if spec.clients else None
    first: UnfitRound | None = None
    described, works = "", False
    if not spec.attack and attack.targeted:  # what its success is without an attack is measured
        attack.check(Setting(max(1, scheduled), 1, inputs=inputs))
    for benign, hostile in _possible_rounds(spec, scheduled):
        n = benign + hostile
        setting = Setting(
            benign,
            hostile,
            participants=spec.clients or None,
            hostile_indices=indices,
            inputs=inputs,
        )
        try:
            attack.check(setting)
        except UnfitRound as error:
            if first is None:
                first, described = error, f"a round of {n} participants, {hostile} of them hostile"
            continue
        works = True
        if not spec.clients:
            try:
                rule = asked.for_participants(n)
            except UnfitRound:  # of too few; there may be more
                continue
        if spec.clients or n <= _MOST_TRIED:
            attack.check(replace(setting, rule=spell(rule)))
        break
    if first is None or (works and not spec.clients):
        return ""
    if works:
        return f"{attack.name} does not work in {described}, the likeliest: {first}"
    if spec.clients and spec.participation == 1:
        raise first
    raise UnfitRound(f"it works in no round that there may be; in {described}: {first}") from first


def _possible_rounds(spec: ExperimentSpec, scheduled: int) -> Iterator[tuple[int, int]]:
    """Yield how many benign and hostile participants a round with some hostile ones may have.

    With a known number of participants the likeliest come first, with an open one the smallest.
    """
    if spec.clients:
        most = min(spec.hostile, scheduled)
        least = max(1, scheduled - (spec.clients - spec.hostile))
        likely = share_of(scheduled, spec.hostile / spec.clients)
        for hostile in sorted(range(least, most + 1), key=lambda number: abs(number - likely)):
            yield scheduled - hostile, hostile
    elif spec.attack:
        for benign in range(1, _MOST_OPEN + 1):
            if hostile := fakes_beside(benign, spec.attack):
                yield benign, hostile


def _notes_on_attack(spec: ExperimentSpec, attack: Any) -> Iterator[str]:  # any registered attack
    """Yield notes on what has no effect or is not known to it, and on shares that are rounded."""
    from fedsiege import attacks
    from fedsiege.attacks.data_poisoning.base import count

    default = attacks.parse(ExperimentSpec.model_fields["attack_name"].default, scale=spec.scale)
    strength = getattr(attack, "scale", None)
    if strength is None and spec.scale != ExperimentSpec.model_fields["scale"].default:
        yield f"SCALE={spec.scale:g} has no effect: {attack.name} has no scale"
    elif strength is not None and strength != spec.scale and "scale" in spec.model_fields_set:
        yield f"SCALE={spec.scale:g} has no effect: ATTACK_NAME={spec.attack_name} sets it"
    if not spec.attack and attack != default:
        yield f"ATTACK_NAME={spec.attack_name} has no effect: ATTACK=0"
    if not spec.attack and spec.scale != ExperimentSpec.model_fields["scale"].default:
        yield f"SCALE={spec.scale:g} has no effect: ATTACK=0"
    yield from _notes_on_leaked(spec)
    if spec.audit and spec.attack and attack.tries_rule:
        yield f"{attack.name} searches against the rule alone, as if there were no AUDIT"
    share: float = getattr(attack, "concentration", 0.0)
    of_all = share > 0 and getattr(attack, "kind", "") != "pair"
    if of_all and spec.attack and spec.partition == "sample" and spec.samples:
        number, exact = count(spec.samples, share), float(exactly(share) * spec.samples)
        if number != exact:
            yield (
                f"concentration={share:g} of {spec.samples} samples is {exact:g}: "
                f"each attacker poisons {number}"
            )
    hostile = exactly(spec.attack) * spec.clients
    if hostile != spec.hostile:
        yield (
            f"ATTACK={spec.attack:g} of {spec.clients} participants is {float(hostile):g}: "
            f"{spec.hostile} are hostile"
        )


def _notes_on_leaked(spec: ExperimentSpec) -> Iterator[str]:
    """Yield notes on leaked credentials that no participant needs."""
    if spec.leaked == ExperimentSpec.model_fields["leaked"].default:
        return
    if spec.admission == "open":
        yield f"LEAKED={spec.leaked} has no effect: ADMISSION=open asks for no credentials"
    elif not spec.attack:
        yield f"LEAKED={spec.leaked} has no effect: ATTACK=0"
    elif spec.clients and spec.leaked > spec.identities:
        yield f"LEAKED={spec.leaked} is as {spec.identities}, the attacker's identities"


def _notes_on_rule(
    spec: ExperimentSpec,
    rule: Any,  # any rule
    updates: int,
    assumed: bool,
) -> Iterator[str]:
    """Yield notes on what is assumed of the hostile participants, and where it does not hold."""
    f = getattr(rule, "f", None)
    if updates and (remark := rule.remark(updates)):
        yield remark
    if updates and spec.clients:
        yield from _notes_on_memory(spec, rule, updates)
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


def _notes_on_training(
    spec: ExperimentSpec,
    rule: Any,  # any rule
    local: dict[str, Any],
) -> Iterator[str]:
    """Yield notes where a rule assumes another training than the participants' one."""
    last = rule.last
    for name, value in local.items():
        if (assumed := getattr(last, name, value)) != value:
            yield (
                f"{last.name} reckons with {name}={assumed}, but the participants train with "
                f"{name}={value}"
            )
    if isinstance(spec.epochs, str) and hasattr(last, "epochs"):
        yield f"{last.name} trains for {last.epochs} epochs itself, participants for {spec.epochs}"
    if spec.weight_decay and hasattr(last, "lr"):
        yield f"{last.name} reckons without the participants' weight_decay={spec.weight_decay:g}"


def _notes_on_memory(
    spec: ExperimentSpec,
    rule: Any,  # any rule
    updates: int,
) -> Iterator[str]:
    """Yield notes where participants come too seldom for a rule that must have seen them often."""
    last, window = rule.last, rule.last.judges_after
    if not window:
        return
    every = spec.clients / updates
    if every > window:
        yield (
            f"{last.name} is hardly more than the mean: each participant is there every "
            f"{every:.3g} rounds, and after more than window={window} it is not predicted"
        )
    elif spec.rounds < (needed := math.ceil((window + 2) * every)):
        yield (
            f"{last.name} is hardly more than the mean in {spec.rounds} rounds: it judges "
            f"participants it has predicted window={window} times, which takes about {needed}"
        )


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
