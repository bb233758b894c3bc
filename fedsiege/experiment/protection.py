"""Differential privacy of an experiment: its check, its notes, and its budget."""

from typing import Any

from fedsiege import privacy
from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.inputs import Inputs
from fedsiege.privacy import budget

#: Seeds below it can be found by trying them all.
_GUESSABLE = 2**32


def budget_of(spec: ExperimentSpec) -> privacy.Budget:
    """Return the budget of an experiment before its first round.

    Args:
        spec: the experiment; a resolved one.
    """
    from fedsiege import rules  # brings torch

    mechanism = privacy.parse(spec.privacy)
    central = None if spec.audit else rules.parse(spec.rule).release
    return privacy.Budget(mechanism.release if mechanism else None, central)


def check(
    spec: ExperimentSpec,
    rule: Any,  # any rule
    inputs: Inputs | None,
) -> tuple[str, ...]:
    """Check the settings of privacy, and return notes on them.

    Args:
        spec: the experiment.
        rule: its rule, resolved.
        inputs: what the model takes; None where that is not known yet.

    Raises:
        InvalidValue: STOP_AT_EPSILON without a mechanism that it could stop, or below what one
            round takes; or sampling that cannot be accounted for.
    """
    mechanism = privacy.parse(spec.privacy)
    central = None if spec.audit else rule.release
    release = mechanism.release if mechanism else central
    notes = []
    if rule.release is not None and spec.audit:
        notes.append(
            f"{rule.name} has no privacy budget with AUDIT={spec.audit}: detectors look at the "
            "updates as they come, and which are kept out depends on them"
        )
    if mechanism is None and central is not None and spec.participation < 1:
        budget.accountant()
    if spec.stop_at_epsilon is not None:
        if release is None:
            allowed = "only with PRIVACY, or RULE=dp-fedavg without AUDIT: else there is no budget"
            raise InvalidValue("STOP_AT_EPSILON", spec.stop_at_epsilon, allowed)
        one = release.epsilon()
        if one > spec.stop_at_epsilon and (mechanism or spec.participation == 1):
            allowed = f"at least {one:.4g}, which one round takes"
            raise InvalidValue("STOP_AT_EPSILON", spec.stop_at_epsilon, allowed)
    if mechanism is None:
        return tuple(notes)
    buffers, trained = 0, None
    if inputs is not None:
        from fedsiege import models

        classifier = models.Classifier(spec.model, inputs)
        trained = models.trained(classifier)
        buffers = models.size(classifier) - trained
    notes += mechanism.remarks(trained)
    if spec.seed < _GUESSABLE:
        notes.append(
            f"SEED={spec.seed} can be guessed, and with it the noise of PRIVACY computed: fine for "
            "an experiment; against a real server draw a seed from all 64 bits and keep it secret"
        )
    if buffers:
        notes.append(
            f"PRIVACY protects what is trained: the {buffers} running statistics of "
            f"MODEL={spec.model} are sent as they are"
        )
    return tuple(notes)
