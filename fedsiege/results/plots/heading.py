"""Title and subtitle of a run's plots."""

from fedsiege.experiment.knowledge import Knowledge
from fedsiege.experiment.spec import ExperimentSpec


def heading(spec: ExperimentSpec, knowledge: Knowledge | None) -> tuple[str, str]:
    """Return title and subtitle: what ran; attack, rule, participants, partition and seed.

    Args:
        spec: what ran.
        knowledge: what the attack was handed; None without an attack.
    """
    level = knowledge.level if knowledge else "none"
    attack = f"{spec.attack_name}, {spec.attack:.0%} hostile, knowledge {level}"
    size = f"{spec.clients} participants" if spec.clients else "open to newcomers"
    subtitle = [
        attack if spec.attack else "no attack",
        spec.rule,
        size,
        spec.partition,
        f"seed {spec.seed}",
    ]
    return spec.name or f"{spec.model} on {spec.dataset}", " · ".join(subtitle)
