"""Flower's side of the training round: every client trains a small CNN on its own few samples.

Runs inside the peer's environment, where Flower's simulation engine starts it. All savings in
Flower's favour are made: the module and the samples are made once per engine process and kept, one
torch thread per process, no evaluation.
"""

import functools
import os

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import Tensor, nn

torch.set_num_threads(1)

app = ClientApp()


def lenet5() -> nn.Module:
    """Build LeNet-5 for 28 x 28 grey images: 44,426 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def net() -> nn.Module:
    """Build the seed classifier ``Net``: 13,106 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 1, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(1, 1, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


@functools.cache
def module() -> nn.Module:
    """Return this process's module; an environment variable names it for all processes."""
    torch.manual_seed(0)
    return {"lenet5": lenet5, "net": net}[os.environ["BENCH_MODEL"]]()


@functools.cache
def samples(participant: int) -> tuple[Tensor, Tensor]:
    """Return four images ``(4, 1, 28, 28)`` and their labels; content does not change the time."""
    generator = torch.Generator().manual_seed(participant)
    images = torch.rand(4, 1, 28, 28, generator=generator) * 2 - 1
    return images, torch.randint(10, (4,), generator=generator)


def initial_arrays() -> ArrayRecord:
    """Return the initial weights."""
    return ArrayRecord(module().state_dict())


@app.train()
def train(message: Message, context: Context) -> Message:
    """Load the global weights, make the local steps, send the weights back."""
    model = module()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    config = message.content["config"]
    images, labels = samples(int(context.node_config["partition-id"]))
    optimizer = torch.optim.SGD(
        model.parameters(), lr=config["learning-rate"], momentum=config["momentum"]
    )
    for _ in range(int(config["epochs"])):  # the batch is all four samples: one step an epoch
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    content = RecordDict(
        {
            "arrays": ArrayRecord(model.state_dict()),
            "metrics": MetricRecord({"num-examples": len(labels)}),
        }
    )
    return Message(content, reply_to=message)
