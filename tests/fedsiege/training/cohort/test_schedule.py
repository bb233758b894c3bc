"""Who trains on which samples at which step."""

import torch

from fedsiege.training.cohort.schedule import Schedule

# Participants with 3, 1 and 2 samples, batches of 2, two epochs: samples 0 1 2, 3, 4 5.
ORDERS = [
    torch.tensor([[2, 0, 1], [1, 2, 0]]),
    torch.tensor([[0], [0]]),
    torch.tensor([[1, 0]] * 2),
]


def schedule():
    return Schedule.of([3, 1, 2], ORDERS, batch_size=2)


def test_steps_by_hand():
    planned = schedule()
    assert planned.participants == [0, 1, 2]
    assert planned.lengths == [4, 2, 2]
    assert planned.batch == 2
    taken = planned.samples.permute(2, 0, 1)  # participant, step, place in the batch
    assert taken[0].tolist() == [[0, 2], [1, 0], [1, 2], [0, 0]]
    assert taken[1, :2].tolist() == [[3, 3], [3, 3]]
    assert taken[2, :2].tolist() == [[4, 5], [4, 5]]
    shares = planned.shares.transpose(0, 1)
    assert shares[0].tolist() == [[0.5, 0.5], [1, 0], [0.5, 0.5], [1, 0]]
    assert shares[1].tolist() == [[1, 0], [1, 0], [0, 0], [0, 0]]
    assert shares[2].tolist() == [[0.5, 0.5], [0.5, 0.5], [0, 0], [0, 0]]


def test_a_step_has_the_largest_batch_and_the_unfinished_participants():
    assert schedule().extents == [(3, 2), (3, 2), (1, 2), (1, 1)]


def test_the_longest_training_comes_first_and_ties_keep_their_order():
    orders = [torch.zeros(1, size, dtype=torch.int64) for size in (1, 4, 2, 5, 0)]
    planned = Schedule.of([1, 4, 2, 5, 0], orders, batch_size=2)
    assert planned.participants == [3, 1, 0, 2, 4]
    assert planned.lengths == [3, 2, 1, 1, 0]


def test_a_shard_that_is_one_batch_repeats():
    orders = [torch.tensor([[2, 0, 1], [0, 2, 1]])] * 2
    planned = Schedule.of([3, 3], orders, batch_size=3)
    assert [planned.repeats(step) for step in range(2)] == [False, True]
    assert [schedule().repeats(step) for step in range(4)] == [False] * 4


def test_a_batch_is_no_larger_than_the_largest_shard():
    assert schedule().batch == 2
    assert Schedule.of([3, 1, 2], ORDERS, batch_size=100).batch == 3


def test_every_sample_has_its_share_of_one_step_in_each_epoch():
    sizes = [7, 3, 4]
    orders = [torch.stack([torch.randperm(size) for _ in range(2)]) for size in sizes]
    planned = Schedule.of(sizes, orders, batch_size=4)
    counted = torch.zeros(14)
    counted.index_add_(0, planned.samples.mT.flatten(), (planned.shares > 0).float().flatten())
    assert counted.tolist() == [2] * 14
    assert planned.shares.sum(2).unique().tolist() == [0, 1]
