"""Presets: scenarios that ``PRESET=NAME`` sets in one word, published ones and some of ours.

A preset stands below all settings that are given. It is no setting of the experiment itself: what
it sets is, and ``spec.yaml`` records that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fedsiege.errors import InvalidValue
from fedsiege.experiment.settings import no_such


@dataclass(frozen=True)
class Preset:
    """A scenario.

    Attributes:
        summary: what it is, in one line.
        source: where it is published: paper, section, link.
        settings: what it sets, by name; each is as published, but for those in ``ours``.
        ours: the settings that the source leaves open, or that differ from it, and why.
    """

    summary: str
    source: str
    settings: Mapping[str, object]
    ours: str


PRESETS: Mapping[str, Preset] = {
    "detect-and-defend": Preset(
        "MPAF against a small pretrained net, which participants hardly train any more",
        "Detect and Defend, the project that FedSiege began from: its simulator's defaults",
        {
            "clients": 100,
            "attack": 0.2,
            "attack_name": "mpaf:scale=1",
            "rule": "fedavg",
            "dataset": "mnist",
            "model": "net",
            "init": "pretrained",
            "partition": "sample",
            "samples": 4,
            "lr": 0.001,
            "momentum": 0.9,
            "epochs": 2,
            "batch": 4,
            "rounds": 10,
        },
        "rounds: it aggregates once in a run",
    ),
    "mpaf-paper": Preset(
        "MPAF with 1,000 genuine and 100 fake clients on MNIST",
        "Cao and Gong, MPAF: Model Poisoning Attacks to Federated Learning based on Fake Clients, "
        "CVPR workshops 2022, evaluation, https://arxiv.org/abs/2203.08669",
        {
            "clients": 1100,
            "attack": 0.0909,
            "attack_name": "mpaf:scale=1e6",
            "participation": 1.0,
            "rule": "fedavg",
            "dataset": "mnist",
            "model": "cnn",
            "init": "random",
            "partition": "iid",
            "samples": 0,
            "optimizer": "sgd",
            "lr": 0.01,
            "momentum": 0.0,
            "batch": 32,
            "epochs": 1,
            "rounds": 30,
        },
        "rounds, epochs, momentum and partition; lr and batch are those of the group's sister "
        "papers, which train for 2,000 rounds",
    ),
    "rfout": Preset(
        "RFOut-1d against a backdoor by model replacement; 20 participants, EMNIST digits",
        "Rodríguez-Barroso, Martínez-Cámara, Luzón and Herrera, Backdoor attacks-resilient "
        "aggregation based on robust filtering of outliers in federated learning for image "
        "classification, Knowledge-Based Systems 245 (2022) 108588, and its demonstration, "
        "https://github.com/ari-dasci/S-RFOut",
        {
            "clients": 20,
            "attack": 0.05,
            "attack_name": "model-replacement",
            "rule": "rfout1d",
            "dataset": "emnist:split=digits",
            "model": "cnn",
            "init": "random",
            "partition": "iid",
            "samples": 0,
            "rounds": 10,
            "lr": 0.05,
            "momentum": 0.9,
            "batch": 32,
            "epochs": 1,
        },
        "attack, attack_name, model (theirs has two convolutions of 32 and dropout), lr, momentum, "
        "batch, epochs",
    ),
    "heterogeneity": Preset(
        "random labels among heterogeneous participants; MobileNetV2 on BloodMNIST",
        "Towards Robust Federated Learning: Investigating Poisoning Attacks Under Clients Data "
        "Heterogeneity, IMCOM 2025; its code, https://github.com/soubihabdenour/fl_with_flower",
        {
            "clients": 50,
            "attack": 0.3,
            "attack_name": "label-flip:kind=random,concentration=0.5",
            "participation": 0.1,
            "rule": "fedavg",
            "dataset": "bloodmnist",
            "size": 224,
            "channels": 3,
            "normalise": "imagenet",
            "model": "mobilenet-v2",
            "init": "imagenet",
            "partition": "dirichlet:0.3",
            "samples": 0,
            "optimizer": "adam",
            "lr": 0.001,
            "batch": 64,
            "epochs": 1,
            "rounds": 100,
        },
        "epochs and normalise; of the study's partitions, shares and concentrations, those in the "
        "middle",
    ),
    "ladder": Preset(
        "every attack shows: 50 participants train LeNet-5 from scratch on MNIST, Dirichlet",
        "ours: the base of experiments/ladder.yaml, whose table is in docs/ladder.md",
        {
            "clients": 50,
            "attack": 0.2,
            "dataset": "mnist",
            "model": "lenet5",
            "init": "random",
            "seed": 1,
            "partition": "dirichlet-prior:1",
            "samples": 60,
            "lr": 0.1,
            "momentum": 0.0,
            "epochs": 2,
            "batch": 10,
            "rounds": 30,
        },
        "all",
    ),
    "quick": Preset(
        "some seconds, without any download: 20 participants train LeNet-5 on 8x8 digits",
        "ours",
        {
            "clients": 20,
            "attack": 0.2,
            "dataset": "digits",
            "model": "lenet5",
            "init": "random",
            "samples": 60,
            "lr": 0.02,
            "momentum": 0.9,
            "epochs": 5,
            "batch": 8,
            "rounds": 10,
        },
        "all",
    ),
}


def with_preset(settings: Mapping[str, object]) -> Mapping[str, object]:
    """Return settings with those of the preset that they name, which all others override.

    Raises:
        InvalidValue: there is no such preset, or it would set nothing, as in a ``spec.yaml`` of a
            run, which has all settings.
    """
    name = settings.get("preset")
    if not name:
        return settings
    if not isinstance(name, str) or name not in PRESETS:
        raise InvalidValue("PRESET", name, no_such("preset", str(name), PRESETS))
    given = {key: value for key, value in settings.items() if key != "preset"}
    preset = PRESETS[name].settings
    if given.keys() >= preset.keys():
        raise InvalidValue("PRESET", name, "unset where all that it sets is given, too")
    return {**preset, **given}
