"""The specification of an experiment: all its settings, frozen.

The fields of ExperimentSpec are the only list of settings. The command line, ``make``, Compose,
grid files, ``spec.yaml``, the gRPC message and the help texts follow from them: a new setting is a
new field, read where it is used.

Reading a specification costs no torch. ``fedsiege.experiment.resolve`` looks the names in it up and
needs it.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import TypeAdapter, field_validator, model_validator

from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.experiment import intrusions
from fedsiege.experiment.faults import FaultPlan
from fedsiege.experiment.hostile import hostile_count
from fedsiege.experiment.plain_yaml import read_yaml
from fedsiege.experiment.presets import with_preset
from fedsiege.experiment.recipes import RECIPE_SETTINGS, Recipe, recipe_of
from fedsiege.experiment.settings import MOST, Settings, count, marked, setting

_WHOLE = TypeAdapter(int)


class ExperimentSpec(Settings):
    """What an experiment does; every field has a default.

    Build one with ``ExperimentSpec.of``, whose errors are for people; the plain constructor raises
    pydantic's ValidationError. Units and ranges stand in the fields' descriptions.
    """

    preset: str = setting(
        "",
        "Scenario that sets many settings at once; those that are given override it",
        "a name that fedsiege presets lists; empty: none",
        exclude=True,  # from files and messages: they hold what it sets
    )
    name: str = setting(
        "",
        "Name for people and for the results folder",
        "up to 100 printable characters, in a file in quotes where it is a number",
        pattern=r"^[^\p{C}\p{Zl}\p{Zp}]{0,100}$",
    )
    attack: float = setting(
        0.2,
        "Share of participants that are hostile",
        "a fraction from 0 to 1",
        ge=0,
        le=1,
        of_attack=True,
    )
    attack_name: str = setting(
        "mpaf", "Attack", "a name, or name:key=value,key=value", of_attack=True
    )
    scale: float = setting(
        1.0, "Strength lambda of the attack", "a number above 0", gt=0, of_attack=True
    )
    clients: int = count(100, "All participants, benign and hostile, 0 for as many as join", 0)
    samples: int = count(
        4, "Samples per benign participant, 0 for all, shared out", 0, training=True
    )
    rounds: int = count(10, "Rounds", 1)
    threshold: int | None = setting(
        None,
        "Updates that close a round",
        "a whole number from 1 to CLIENTS; unset: all scheduled",
        ge=1,
    )
    rule: str = setting("fedavg", "Aggregation rule", "a name, or name:key=value,key=value")
    model: str = setting("net", "Model", "a name, or name:key=value,key=value")
    lr: float | None = setting(
        None,
        "Learning rate of local training",
        "a number above 0; unset: the recipe of the model",
        gt=0,
        training=True,
    )
    momentum: float = setting(
        0.9,
        "Momentum of local training by SGD",
        "a number from 0 to less than 1; unset with adam: 0",
        ge=0,
        lt=1,
        training=True,
    )
    epochs: int | str | None = setting(
        None,
        "Local epochs a round",
        f"a whole number from 1 to {MOST}, or a range such as 1-4, of which a number is drawn for "
        "each participant and round; unset: the recipe of the model",
        training=True,
    )
    batch: int | None = setting(
        None,
        "Local batch size",
        f"a whole number from 1 to {MOST}; unset: the recipe of the model",
        ge=1,
        le=MOST,
        training=True,
    )
    dataset: str = setting(
        "auto",
        "Data set",
        "auto, a name that fedsiege datasets lists, npz:FILE, folder:DIR or csv:FILE,label=COLUMN",
    )
    partition: str = setting(
        "sample",
        "How samples go to participants",
        "sample, iid, dirichlet:ALPHA, dirichlet-prior:ALPHA, pathological:CLASSES, "
        "quantity:ALPHA or natural",
        training=True,
    )
    init: str | None = setting(
        None,
        "Initial weights",
        "pretrained, random, imagenet, or a safetensors file, as a path or as *.safetensors; "
        "unset: pretrained where a checkpoint ships",
        # A word that is neither is a mistyped one, not a file.
        pattern=r"^(pretrained|random|imagenet|[^\p{C}\p{Zl}\p{Zp}]*(/[^\p{C}\p{Zl}\p{Zp}]+|\.safetensors))$",
        max_length=1000,
    )
    seed: int = setting(
        0, "Seed of all random draws", "a whole number from 0 to 2**64 - 1", ge=0, le=2**64 - 1
    )
    deadline: float | None = setting(
        None,
        "Seconds after which a round closes in any case",
        "a number above 0, at most 86400 (a day); unset: none with ENGINE=local, else 30",
        gt=0,
        le=86_400,
    )
    device: Literal["cpu", "cuda"] = setting("cpu", "Where rule and test run", "cpu or cuda")
    trainer: Literal["auto", "cohort", "loop"] = setting(
        "auto",
        "How participants that train compute",
        "cohort, loop, or auto: cohort where it knows the model's layers",
        training=True,
    )

    min_clients: int | None = setting(
        None,
        "With CLIENTS=0, benign participants that are waited for",
        f"a whole number from 1 to {MOST}; unset: until newcomers stop arriving",
        ge=1,
        le=MOST,
    )

    admission: Literal["open", "token", "mtls"] | None = setting(
        None,
        "What enrolment asks for",
        "open, token or mtls; unset: what the aggregator asks for",
    )
    faults: str = setting(
        "",
        "Faults made on purpose in every round, as shares of the worker containers",
        "kill:SHARE,pause:SHARE,slow:SHARE, together at most 1; empty: none",
    )
    intrusions: str = setting(
        "",
        "Ways to get in that the attacker tries beside the first round",
        "names, some with a count: sybils:1000,replay; empty: none",
        of_attack=True,
    )

    leaked: int = count(
        1,
        "With ADMISSION=token or mtls, fakes that the attacker holds credentials for",
        0,
        of_attack=True,
    )
    audit: str = setting(
        "", "Detectors that audit the participants", "names, with slashes between; empty: none"
    )
    clip: float = setting(
        0.0,
        "L2 norm to which benign participants clip their own updates",
        "a number above 0, or 0 for no clipping",
        ge=0,
        training=True,
    )
    participation: float = setting(
        1.0,
        "Share of the participants that is scheduled in each round, drawn anew",
        "a fraction above 0, at most 1",
        gt=0,
        le=1,
    )
    optimizer: Literal["sgd", "adam"] = setting(
        "sgd", "Optimiser of local training", "sgd or adam", training=True
    )
    weight_decay: float = setting(
        0.0,
        "Weight decay of local training, times the weights added to each gradient",
        "a number, 0 or more",
        ge=0,
        training=True,
    )
    norm: Literal["batch", "group", "local"] | None = setting(
        None,
        "Normalisation of a model that has one",
        "batch with running statistics, group, or local: by each batch alone; unset: the model's",
    )

    privacy: str = setting(
        "",
        "How participants protect their updates by differential privacy",
        "ldp:epsilon=E,delta=D,clip=C; empty: not at all",
        training=True,
    )
    stop_at_epsilon: float | None = setting(
        None,
        "Privacy budget, epsilon of all rounds together, before which a run with PRIVACY or "
        "RULE=dp-fedavg ends",
        "a number above 0; unset: it runs all ROUNDS",
        gt=0,
    )

    prox: float = setting(
        0.0,
        "Weight mu of FedProx's proximal term, mu/2 times the squared distance to the global model",
        "a number, 0 or more",
        ge=0,
        training=True,
    )

    size: int | None = setting(
        None,
        "Height and width that pictures are brought to",
        "a whole number from 4 to 2048; unset: theirs",
        ge=4,
        le=2048,
    )
    channels: int | None = setting(
        None,
        "Channels that pictures are brought to",
        "1 (grey) or 3 (red, green, blue); unset: theirs",
        ge=1,
        le=3,
    )
    normalise: Literal["half", "own", "imagenet"] | None = setting(
        None,
        "What pictures are normalised by",
        "half (-1 black to 1 white), own (mean and deviation of the training part) or imagenet; "
        "unset: half",
    )
    augment: str = setting(
        "",
        "How participants vary pictures, drawn anew in each epoch of local training",
        "crop, flip or crop/flip; empty: not",
        pattern=r"^(crop|flip|crop/flip)?$",
        training=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _adam_takes_no_default_momentum(cls, settings: Any) -> Any:  # as pydantic has it
        if isinstance(settings, Mapping) and settings.get("optimizer") == "adam":
            return {"momentum": 0.0, **settings}
        return settings

    @model_validator(mode="before")
    @classmethod
    def _preset_stands_below(cls, settings: Any) -> Any:  # as pydantic has it; runs first
        return with_preset(settings) if isinstance(settings, Mapping) else settings

    @field_validator("audit", "augment", "faults", "intrusions", "privacy", mode="before")
    @classmethod
    def _none_is_nothing(cls, value: object) -> object:
        return "" if value == "none" else value  # as the tables of them say it

    @field_validator("epochs", mode="before")
    @classmethod
    def _epochs_are_a_number_or_a_range(cls, value: object) -> object:
        if value is None:
            return None
        if isinstance(value, bool):
            raise ValueError("a truth value")
        ends = value.split("-") if isinstance(value, str) else [value]
        first, last = (_WHOLE.validate_python(end) for end in (ends[0], ends[-1]))
        if not 1 <= first <= last <= MOST or len(ends) > 2:
            raise ValueError(value)
        return first if first == last else f"{first}-{last}"

    @field_validator("faults")
    @classmethod
    def _faults_can_be_made(cls, value: str) -> str:
        FaultPlan.parse(value)
        return value

    @field_validator("intrusions")
    @classmethod
    def _intrusions_are_known(cls, value: str) -> str:
        intrusions.parse(value)
        return value

    @model_validator(mode="after")
    def _threshold_is_within_reach(self) -> Self:
        if self.threshold is not None and 0 < self.clients < self.threshold:
            allowed = f"a whole number from 1 to {self.clients}, the number of participants"
            raise InvalidValue("THRESHOLD", self.threshold, allowed)
        return self

    @model_validator(mode="after")
    def _adam_has_no_momentum(self) -> Self:
        if self.optimizer == "adam" and self.momentum:
            allowed = "0, or unset, with OPTIMIZER=adam, which has moments of its own"
            raise InvalidValue("MOMENTUM", self.momentum, allowed)
        return self

    @property
    def recipe(self) -> Recipe:
        """Learning rate, batch and epochs: those that are set, and else those of the model."""
        given = {name: getattr(self, name) for name in RECIPE_SETTINGS}
        return replace(
            recipe_of(self.model, self.dataset, self.optimizer),
            **{name: value for name, value in given.items() if value is not None},
        )

    @property
    def epochs_range(self) -> tuple[int, int]:
        """The fewest and the most local epochs of a participant in a round."""
        first, mark, last = str(self.recipe.epochs).partition("-")
        return int(first), int(last if mark else first)

    @property
    def hostile(self) -> int:
        """How many participants are hostile; not known, and 0, with CLIENTS=0."""
        return hostile_count(self.clients, self.attack)

    @property
    def identities(self) -> int:
        """Under how many identities the hostile participants enrol."""
        from fedsiege import attacks  # brings torch, which a help text must not wait for

        return self.hostile * attacks.parse(self.attack_name).aliases if self.hostile else 0

    @property
    def training(self) -> dict[str, object]:
        """The settings that participants train by, by name."""
        return self.model_dump(include=marked(type(self), "training"), exclude_none=True)

    def to_yaml(self) -> str:
        """Write all settings as YAML that ``from_yaml`` reads back."""
        text: str = yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True)
        return text

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read a specification from YAML: one ``setting: value`` per line, in any order.

        Raises:
            InvalidValue: not YAML, a setting twice, or what ``of`` raises.
        """
        return cls.of(settings_from_yaml(text))


def settings_from_yaml(text: str) -> dict[str, object]:
    """Read the settings a YAML text gives, not yet validated; an empty text gives none.

    Raises:
        InvalidValue: not YAML, not a mapping, or a setting twice, at any depth.
    """
    try:
        tree, settings = read_yaml(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a number with too many digits
        raise InvalidValue("SPEC", _shortened(text), f"not YAML: {error}") from None
    if settings is None:
        return {}
    if not isinstance(settings, dict) or not isinstance(tree, yaml.MappingNode):
        raise InvalidValue("SPEC", _shortened(text), "settings, one `setting: value` per line")
    _refuse_twice(tree)
    return {str(key): value for key, value in settings.items()}


def settings_from_file(path: Path) -> dict[str, object]:
    """Read the settings of a ``spec.yaml``, not yet validated.

    Raises:
        FedSiegeError: it cannot be read, or is not text.
        InvalidValue: as ``settings_from_yaml``.
    """
    try:
        return settings_from_yaml(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise FedSiegeError(f"{path} cannot be read: {error}") from error


def _refuse_twice(tree: yaml.MappingNode) -> None:
    """Refuse a key that stands twice in one mapping, of which YAML would take the last.

    Names are compared as they are written, so that 1 and '1', which settings do not tell apart, are
    the same.
    """
    left, looked_at = [tree], set()
    while left:
        mapping = left.pop()
        looked_at.add(id(mapping))
        seen: set[str] = set()
        for key, value in mapping.value:
            name = str(key.value)
            if name in seen:
                shown = value.value if isinstance(value, yaml.ScalarNode) else "..."
                raise InvalidValue(name, shown, "this setting stands twice")
            seen.add(name)
            if isinstance(value, yaml.MappingNode) and id(value) not in looked_at:
                left.append(value)  # an alias may stand in many places, also within itself


def _shortened(text: str) -> str:
    """Return the first line that says something, for error texts."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    return lines[0][:60]
