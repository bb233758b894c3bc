"""Measurement of the attack success rate of the global model after every round."""

import asyncio
from pathlib import Path

import torch

from fedsiege import attacks, datasets
from fedsiege.experiment.attack_success import AttackSuccess, measurable
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.simulator.remote_federation import RETRY_TIMEOUT, RemoteFederation


class AttackSuccessRates:
    """Attack success rates of the global model, by round.

    Only the simulator knows the attack's target. It pulls the model between rounds, as any
    participant can, and measures it during the next round.

    Args:
        success: measures the weights of a model; None if the attack has no target.
    """

    def __init__(self, success: AttackSuccess | None) -> None:
        self._success = success
        self._rates: dict[int, asyncio.Task[float]] = {}
        self._started = asyncio.Condition()

    @classmethod
    def of(cls, spec: ExperimentSpec, data: Path) -> "AttackSuccessRates":
        """Return the rates of an experiment; base rates if it has no hostile participants.

        Raises:
            InvalidValue: the held-out set has no sample that the attack can be measured on.
            MissingData: the data set is missing.
        """
        attack = attacks.parse(spec.attack_name)
        if not measurable(attack):
            return cls(None)
        held_out = datasets.load(spec.dataset, data)
        return cls(AttackSuccess(spec.model, attack, held_out, spec.seed, spec.device))

    async def measure(self, round_number: int, federation: RemoteFederation) -> None:
        """Pull the model after a round, 0 for the initial one, and start to measure it."""
        if self._success is not None:
            weights, _ = await federation.model(RETRY_TIMEOUT)
            measuring = asyncio.to_thread(_on_one_thread, self._success, torch.from_numpy(weights))
            async with self._started:
                self._rates[round_number] = asyncio.create_task(measuring)
                self._started.notify_all()

    async def rate(self, round_number: int) -> float | None:
        """Wait for the attack success rate after a round, 0 to 1; None if there is no target."""
        if self._success is None:
            return None
        async with self._started:
            await self._started.wait_for(lambda: round_number in self._rates)
        return await self._rates.pop(round_number)


def _on_one_thread(success: AttackSuccess, weights: torch.Tensor) -> float:
    """Measure on one torch thread: the last bits of logits depend on the number of threads.

    They differed between two and four threads, which can change a nearly tied prediction.
    """
    torch.set_num_threads(1)  # applies to the calling thread
    return success(weights)
