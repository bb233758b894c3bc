"""What holds for every attack that poisons what it trains on."""

from contextlib import nullcontext

import pytest
import torch

from fedsiege import attacks
from fedsiege.attacks import BackdoorAttack, Broadcast, Knowledge, PoisoningAttack, Setting
from fedsiege.attacks.data_poisoning.base import choose, count
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.inputs import MNIST_LIKE, Domain, Features, Image, Tokens
from fedsiege.training.base import Shard
from tests.cases import each

BACKDOORS = [cls.name for cls in attacks.registry if issubclass(cls, BackdoorAttack)]
POISONS = [
    *BACKDOORS,
    "label-flip",
    "label-flip:kind=pair",
    "label-flip:kind=random",
]


@pytest.fixture
def shard() -> Shard:
    """Forty pictures of noise, four of each class."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(40, 1, 28, 28, generator=generator) * 2 - 1
    return Shard(pixels, torch.arange(40) % 10)


def changed(before: Shard, after: Shard) -> torch.Tensor:
    """Return which samples are no longer what they were."""
    other = (before.images != after.images).flatten(1).any(1)
    return other | (before.labels != after.labels)


def test_the_backdoors_are_found():
    known = {"badnets", "dba", "edge-case", "input-instance", "model-replacement", "neurotoxin"}
    assert known <= set(BACKDOORS)


@each("text", POISONS)
def test_they_know_what_their_own_training_gives(text):
    attack = attacks.parse(text)
    assert isinstance(attack, PoisoningAttack)
    assert attack.knows is Knowledge.PARTIAL


@each("text", POISONS)
def test_the_poison_is_the_same_in_every_round_and_other_for_each_attacker(text, shard):
    attack = attacks.parse(text, concentration=0.5)
    first = attack.poison(shard, 3, seed=5)
    torch.manual_seed(1)
    again = attacks.parse(text, concentration=0.5).poison(shard, 3, seed=5)
    assert first.images.equal(again.images)
    assert first.labels.equal(again.labels)
    for participant, seed in ((4, 5), (3, 6)):
        other = attack.poison(shard, participant, seed)
        same = first.labels.equal(other.labels) and first.images.equal(other.images)
        assert not same


@each("text", POISONS)
def test_the_shard_stays_as_it_was(text, shard):
    images, labels = shard.images.clone(), shard.labels.clone()
    poisoned = attacks.parse(text).poison(shard, 3, seed=5)
    assert changed(shard, poisoned).any()
    assert poisoned.images.shape == images.shape
    assert poisoned.images.dtype == torch.float32
    assert shard.images.equal(images)
    assert shard.labels.equal(labels)


@each("text", POISONS)
def test_nothing_can_be_poisoned_where_there_is_nothing(text):
    nothing = Shard(torch.zeros(0, 1, 28, 28), torch.zeros(0, dtype=torch.int64))
    assert len(attacks.parse(text).poison(nothing, 3, seed=5)) == 0


@each("name", BACKDOORS)
@each(("concentration", "expected"), [(0.1, 4), (0.25, 10), (0.5, 20), (1.0, 40), (0.001, 1)])
def test_the_concentration_is_the_share_of_samples_that_are_poisoned(
    name, concentration, expected, shard
):
    attack = attacks.create(name, concentration=concentration)
    poisoned = attack.poison(shard, 3, seed=5)
    touched = changed(shard, poisoned)
    assert (poisoned.labels[touched] == attack.target).all()
    assert touched.sum() == expected, "stamp, key or edge case shows, whatever the label was"


@each("text", POISONS)
def test_more_concentration_poisons_these_and_more(text, shard):
    little = changed(shard, attacks.parse(text, concentration=0.2).poison(shard, 3, seed=5))
    much = changed(shard, attacks.parse(text, concentration=0.7).poison(shard, 3, seed=5))
    assert 0 < little.sum() < much.sum()
    assert much[little].all()


def test_count_rounds_and_is_one_at_least():
    assert [count(4, c) for c in (0.01, 0.3, 0.49, 0.74, 1.0)] == [1, 1, 2, 3, 4]
    assert count(30, 0.1) == 3  # 30 * 0.1 is a little above 3 in floating point
    assert count(0, 1.0) == 0


def test_choose_draws_every_position_once():
    positions = torch.tensor([3, 5, 8, 13])
    assert choose(positions, 4, seed=1, participant=2).sort().values.equal(positions)
    assert choose(positions, 0, seed=1, participant=2).shape == (0,)


@pytest.mark.parametrize("name", BACKDOORS)
def test_the_update_is_that_of_training_boosted(name, hear):
    own = torch.arange(12.0).view(4, 3)
    heard = hear([0.0, 0.0, 0.0])
    broadcast = Broadcast(2, heard.model, None, "tiny", 0, hostile=(1, 4, 6, 9), own=own)
    given = {"participants": 4} if name == "model-replacement" else {}
    attack = attacks.create(name, boost=2.5, **given)
    assert attack.craft(broadcast, [4, 9]).tolist() == [[7.5, 10.0, 12.5], [22.5, 25.0, 27.5]]
    assert own.equal(torch.arange(12.0).view(4, 3))


@each("text", [t for t in POISONS if "random" not in t])
def test_the_probe_excludes_whose_true_label_is_the_target(text, shard):
    attack = attacks.parse(text)
    assert attack.targeted
    images, targets = attack.probe(shard.images, shard.labels, seed=5)
    assert len(images) == len(targets) > 0
    assert targets.dtype == torch.int64
    only_targets = shard.labels == getattr(attack, "target", -1)
    # these have no inputs of the target class
    if text not in ("input-instance", "edge-case", "label-flip"):
        assert (targets == attack.target).all()
        none, _ = attack.probe(shard.images[only_targets], shard.labels[only_targets], seed=5)
        assert len(none) == 0


@each("text", [t for t in POISONS if "random" not in t])
def test_the_probe_leaves_the_held_out_inputs_alone(text, shard):
    before = shard.images.clone(), shard.labels.clone()
    attacks.parse(text).probe(shard.images, shard.labels, seed=5)
    assert shard.images.equal(before[0])
    assert shard.labels.equal(before[1])


@each("text", POISONS)
def test_spelt_out_they_read_back(text):
    attack = attacks.parse(text)
    assert attacks.parse(attacks.spell(attack)) == attack


@each("name", [*BACKDOORS, "label-flip"])
@each("value", [0.0, -0.1, 1.1, float("nan"), True, "half"])
def test_a_concentration_is_a_share(name, value):
    with pytest.raises(InvalidValue, match="above 0, at most 1") as caught:
        attacks.create(name, concentration=value)
    assert caught.value.name == f"{name}:concentration"


@each("name", [*BACKDOORS, "label-flip"])
@each("value", [-1, 100_000, 1.5, True, "seven"])
def test_a_target_is_a_whole_number(name, value):
    with pytest.raises(InvalidValue, match="a whole number from 0 to 99999") as caught:
        attacks.create(name, target=value)
    assert caught.value.name == f"{name}:target"


@each("name", [*BACKDOORS, "label-flip"])
@each("classes", [2, 10])
def test_a_target_is_a_class_of_the_data_set(name, classes):
    pair = {"kind": "pair", "source": 0} if name == "label-flip" else {}
    pair |= {"source": 0} if name == "edge-case" else {}
    grey = Setting(20, 5, inputs=Image(classes=classes))
    if name != "edge-case" or grey.inputs == MNIST_LIKE:
        attacks.create(name, target=classes - 1, **pair).check(grey)
    attacks.create(name, target=classes, **pair).check(Setting(20, 5))  # not known yet
    with pytest.raises(InvalidValue, match=f"a class of the data set, 0 to {classes - 1}") as found:
        attacks.create(name, target=classes, **pair).check(grey)
    assert (found.value.name, found.value.value) == (f"{name}:target", classes)


@pytest.mark.parametrize("name", ["edge-case", "label-flip"])
def test_the_source_is_another_class_than_the_target(name):
    with pytest.raises(InvalidValue, match="another class than source=4"):
        attacks.create(name, source=4, target=4)
    pair = {"kind": "pair"} if name == "label-flip" else {}
    with pytest.raises(InvalidValue, match=f"{name}:source=10") as caught:
        attacks.create(name, source=10, **pair).check(Setting(20, 5, inputs=MNIST_LIKE))
    assert "a class of the data set, 0 to 9" in str(caught.value)


@each("name", BACKDOORS)
@each(
    "inputs",
    [Features(30), Tokens(80, 60, 60), Image(3, 16, 16, 10), Image(1, 1, 28), Image(1, 9, 4)],
)
def test_a_backdoor_works_on_such_samples_or_says_so_before_the_start(name, inputs):
    attack = attacks.create(name)
    if not inputs.pictures:
        needs = "handwritten digits" if name == "edge-case" else "needs pictures"
    elif min(inputs.shape[1:]) < attack.side:
        needs = f"needs pictures of {attack.side}x{attack.side} or more"
    else:
        needs = "handwritten digits" if name == "edge-case" else ""
    with pytest.raises(UnfitRound, match=needs) if needs else nullcontext() as refused:
        attack.check(Setting(20, 5, inputs=inputs))
    if refused:
        assert inputs.words in str(refused.value)
        return
    pictures = torch.rand(20, *inputs.shape, generator=torch.Generator().manual_seed(0)) - 1
    before = Shard(pictures, torch.arange(20) % inputs.classes)
    domain = Domain(inputs, (-1.0,) * inputs.shape[0], (2.0,) * inputs.shape[0])
    poisoned = attack.poison(before, 3, 5, domain)
    assert poisoned.images.shape == before.images.shape
    assert changed(before, poisoned).sum() == 10
    probe, _ = attack.probe(before.images, before.labels, 5, domain)
    assert probe.shape[1:] == inputs.shape
    assert probe.max() == 2 or name == "input-instance", "stamps are as white as the data set's"


@pytest.mark.parametrize("side", [8, 28, 64])
def test_the_square_of_badnets_fits_into_the_pictures(side):
    setting = Setting(20, 5, inputs=Image(3, side, side))
    attacks.create("badnets", size=side - 2).check(setting)
    with pytest.raises(UnfitRound, match=f"{side + 1}x{side + 1} or more; .* {side}x{side}"):
        attacks.create("badnets", size=side - 1).check(setting)


@each(
    ("name", "parameter", "value"),
    [
        *((name, "boost", value) for name in BACKDOORS for value in (0, -1.0, float("inf"), True)),
        *(("badnets", "size", value) for value in (0, 2.5, True)),
        ("model-replacement", "participants", 0),
        ("model-replacement", "eta", 0.0),
        ("neurotoxin", "keep", 0.0),
        ("neurotoxin", "keep", 1.5),
        ("input-instance", "keys", 0),
        ("input-instance", "keys", 101),
        ("input-instance", "noise", -1),
        ("input-instance", "noise", 256),
        ("label-flip", "kind", "y+1"),
    ],
)
def test_what_is_out_of_range_is_refused(name, parameter, value):
    with pytest.raises(InvalidValue) as caught:
        attacks.create(name, **{parameter: value})
    assert caught.value.name == f"{name}:{parameter}"
