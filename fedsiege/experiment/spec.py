"""One frozen specification of an experiment.

A file, the environment, flags and the gRPC message all become an ExperimentSpec; its fields are
those of the message of the same name in ``protos/fedsiege/v1/simulator.proto``, and their
descriptions are the help texts of the command line.

Reading a specification costs no torch. ``fedsiege.experiment.resolve`` looks the names in it up and
needs it.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fedsiege.errors import InvalidValue
from fedsiege.experiment import intrusions
from fedsiege.experiment.faults import FaultPlan
from fedsiege.experiment.plain_yaml import read_yaml

_MOST = 1_000_000


def _setting(default: object, what: str, allowed: str, **bounds: Any) -> Any:  # as pydantic's Field
    """Describe a field once, for the help text and for the error."""
    return Field(
        default,
        description=f"{what}: {allowed}",
        json_schema_extra={"allowed": allowed},
        **bounds,
    )


def _count(default: int, what: str, least: int) -> Any:  # as pydantic's Field
    return _setting(default, what, f"a whole number from {least} to {_MOST}", ge=least, le=_MOST)


class ExperimentSpec(BaseModel):
    """What an experiment does; every field has a default.

    Build one with ``ExperimentSpec.of``, whose errors are for people; the plain constructor raises
    pydantic's ValidationError. Units and ranges stand in the fields' descriptions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = _setting(
        "",
        "Name for people and for the results folder",
        "up to 100 printable characters, in a file in quotes where it is a number",
        pattern=r"^[^\p{C}\p{Zl}\p{Zp}]{0,100}$",
    )
    attack: float = _setting(
        0.2, "Share of participants that are hostile", "a fraction from 0 to 1", ge=0, le=1
    )
    attack_name: str = _setting("mpaf", "Attack", "a name, or name:key=value,key=value")
    scale: float = _setting(1.0, "Strength lambda of the attack", "a number above 0", gt=0)
    clients: int = _count(
        100, "All participants, benign and hostile, 0 for whoever is there and whoever comes", 0
    )
    samples: int = _count(4, "Samples per benign participant, 0 for all, shared out", 0)
    rounds: int = _count(10, "Rounds", 1)
    threshold: int | None = _setting(
        None,
        "Updates that close a round",
        "a whole number from 1 to CLIENTS; unset: all scheduled",
        ge=1,
    )
    rule: str = _setting("fedavg", "Aggregation rule", "a name, or name:key=value,key=value")
    model: str = _setting("net", "Model", "net, lenet5 or cnn")
    lr: float = _setting(0.001, "Learning rate of local training", "a number above 0", gt=0)
    momentum: float = _setting(
        0.9,
        "Momentum of local training by SGD",
        "a number from 0 to less than 1; unset with adam: 0",
        ge=0,
        lt=1,
    )
    epochs: int = _count(2, "Local epochs a round", 1)
    batch: int = _count(4, "Local batch size", 1)
    dataset: str = _setting("auto", "Data set", "auto, digits, mnist or fashion")
    partition: str = _setting(
        "sample",
        "How samples go to participants",
        "sample, iid, dirichlet:ALPHA or dirichlet-prior:ALPHA",
    )
    init: str | None = _setting(
        None,
        "Initial weights",
        "pretrained, random, or a safetensors file, as a path or as *.safetensors; "
        "unset: pretrained where a checkpoint ships",
        # A word that is neither is a mistyped one, not a file.
        pattern=r"^(pretrained|random|[^\p{C}\p{Zl}\p{Zp}]*(/[^\p{C}\p{Zl}\p{Zp}]+|\.safetensors))$",
        max_length=1000,
    )
    seed: int = _setting(
        0, "Seed of all random draws", "a whole number from 0 to 2**64 - 1", ge=0, le=2**64 - 1
    )
    deadline: float | None = _setting(
        None,
        "Seconds after which a round closes in any case",
        "a number above 0, at most 86400 (a day); unset: none with ENGINE=laptop, else 30",
        gt=0,
        le=86_400,
    )
    device: Literal["cpu", "cuda"] = _setting("cpu", "Where rule and test run", "cpu or cuda")
    trainer: Literal["auto", "cohort", "loop"] = _setting(
        "auto",
        "How participants that train compute",
        "cohort, loop, or auto: cohort where it has rules for the model's layers",
    )

    min_clients: int | None = _setting(
        None,
        "With CLIENTS=0, benign participants that are waited for",
        f"a whole number from 1 to {_MOST}; unset: until newcomers stop arriving",
        ge=1,
        le=_MOST,
    )

    admission: Literal["open", "token", "mtls"] | None = _setting(
        None,
        "What enrolment asks for",
        "open, token or mtls; unset: what the aggregator asks for",
    )
    faults: str = _setting(
        "",
        "Faults made on purpose in every round, as shares of the worker containers",
        "kill:SHARE,pause:SHARE,slow:SHARE, together at most 1; empty: none",
    )
    intrusions: str = _setting(
        "",
        "Ways to get in that the attacker tries beside the first round",
        "names, some with a count: sybils:1000,replay; empty: none",
    )

    leaked: int = _count(
        1, "With ADMISSION=token or mtls, fakes that the attacker holds credentials for", 0
    )
    audit: str = _setting(
        "", "Detectors that audit the participants", "names, with slashes between; empty: none"
    )
    clip: float = _setting(
        0.0,
        "L2 norm to which benign participants clip their own updates",
        "a number above 0, or 0 for no clipping",
        ge=0,
    )
    participation: float = _setting(
        1.0,
        "Share of the participants that is scheduled in each round, drawn anew",
        "a fraction above 0, at most 1",
        gt=0,
        le=1,
    )
    optimizer: Literal["sgd", "adam"] = _setting(
        "sgd", "Optimiser of local training", "sgd or adam"
    )

    @model_validator(mode="before")
    @classmethod
    def _adam_takes_no_default_momentum(cls, settings: Any) -> Any:  # as pydantic has it
        if isinstance(settings, Mapping) and settings.get("optimizer") == "adam":
            return {"momentum": 0.0, **settings}
        return settings

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_values(cls, value: object) -> object:
        # pydantic takes True for 1, so that attack=True would attack with everyone
        if isinstance(value, bool):
            raise ValueError("a truth value")
        return value

    @field_validator("audit", "faults", "intrusions", mode="before")
    @classmethod
    def _none_is_nothing(cls, value: object) -> object:
        return "" if value == "none" else value  # as the tables of them say it

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

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Self:
        """Build a specification from settings by name; what is left out takes its default.

        Args:
            settings: values by field name; numbers may be written as text.

        Raises:
            InvalidValue: a value is out of its range or of the wrong type, named as the variable
                (``ATTACK``), or there is no such setting.
        """
        for key in settings:
            if key not in cls.model_fields:
                raise InvalidValue(key, settings[key], no_such("setting", key, cls.model_fields))
        try:
            return cls.model_validate(settings)
        except ValidationError as problems:
            problem = problems.errors()[0]
        cause = problem.get("ctx", {}).get("error")
        if isinstance(cause, InvalidValue):
            raise cause
        key = str(problem["loc"][0])
        raise InvalidValue(key.upper(), settings[key], _allowed(key))

    @property
    def hostile(self) -> int:
        """How many participants are hostile; not known, and 0, with CLIENTS=0."""
        return hostile_count(self.clients, self.attack)

    @property
    def identities(self) -> int:
        """Under how many identities the hostile participants enrol."""
        from fedsiege import attacks  # brings torch, which a help text must not wait for

        return self.hostile * attacks.parse(self.attack_name).aliases if self.hostile else 0

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


def _refuse_twice(tree: yaml.MappingNode) -> None:
    """Refuse what stands twice in one mapping: YAML would let the last win without a word.

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


def hostile_count(participants: int, fraction: float) -> int:
    """Return how many of the participants are hostile: ``fraction * participants``, half up.

    The fraction counts as it is written: 0.29 of 100 is 29, though the binary number below 0.29
    times 100 is less.

    Args:
        participants: how many there are, 0 or more.
        fraction: 0 to 1.

    Raises:
        InvalidValue: a value out of its range.
    """
    if participants < 0:
        raise InvalidValue("participants", participants, "a whole number, 0 or more")
    if not 0 <= fraction <= 1:
        raise InvalidValue("fraction", fraction, "a fraction from 0 to 1")
    return share_of(participants, fraction)


def fakes_beside(benign: int, fraction: float) -> int:
    """Return how many fakes make up a fraction of all: ``benign * p / (1 - p)``, half up.

    Args:
        benign: how many participants are not hostile, 0 or more.
        fraction: p, from 0 to below 1, taken as the decimal number it was written as.
    """
    share = exactly(fraction)
    return math.floor(benign * share / (1 - share) + Fraction(1, 2))


def share_of(count: int, fraction: float) -> int:
    """Return ``fraction * count`` as a whole number, half up; the fraction counts as written."""
    return math.floor(exactly(fraction) * count + Fraction(1, 2))


def exactly(number: float) -> Fraction:
    """Return the decimal number a float was written as."""
    return Fraction(repr(float(number)))


def _allowed(key: str) -> str:
    """Return what a field allows, in words."""
    extra = ExperimentSpec.model_fields[key].json_schema_extra
    assert isinstance(extra, dict)
    return str(extra["allowed"])


def no_such(noun: str, name: str, names: Iterable[str]) -> str:
    """Say that a name is unknown, which is nearest, and which there are."""
    names = list(names)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f", did you mean {near[0]}?" if near else "."
    return f"there is no such {noun}{hint} There are: {', '.join(names)}"


def _shortened(text: str) -> str:
    """Return the first line that says something, for error texts."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    return lines[0][:60]
