"""Measures after every round whether the attacker gets what it wants."""

import asyncio
from pathlib import Path

import torch

from fedsiege import attacks, datasets
from fedsiege.experiment.attack_success import AttackSuccess, measurable
from fedsiege.experiment.spec import ExperimentSpec
from services.simulator.remote_federation import RETRY_TIMEOUT, RemoteFederation


class AttackSuccessRates:
    """Attack success rate of the global model, round by round.

    Only the simulator knows what the attacker wants, so it looks at the model as any participant
    can: it pulls it, between the rounds, and tries it while the next round runs.

    Args:
        success: measures weights; None where the attack has no target.
    """

    def __init__(self, success: AttackSuccess | None) -> None:
        self._success = success
        self._rates: dict[int, asyncio.Task[float]] = {}
        self._started = asyncio.Condition()

    @classmethod
    def of(cls, spec: ExperimentSpec, data: Path) -> "AttackSuccessRates":
        """Return the rates of an experiment; without hostile participants it tells the base rate.

        Raises:
            InvalidValue: there is no held-out input that the attack could be tried on.
            MissingData: the data set is not there.
        """
        attack = attacks.parse(spec.attack_name)
        if not measurable(attack):
            return cls(None)
        held_out = datasets.load(spec.dataset, data)
        images, labels = held_out.test_images, held_out.test_labels
        return cls(AttackSuccess(spec.model, attack, images, labels, spec.seed, spec.device))

    async def measure(self, round_number: int, federation: RemoteFederation) -> None:
        """Pull the model that a round has made, 0 for the initial one, and begin to try it."""
        if self._success is not None:
            weights, _ = await federation.model(RETRY_TIMEOUT)
            measuring = asyncio.to_thread(_on_one_thread, self._success, torch.from_numpy(weights))
            async with self._started:
                self._rates[round_number] = asyncio.create_task(measuring)
                self._started.notify_all()

    async def rate(self, round_number: int) -> float | None:
        """Return the attack success rate after a round, 0 to 1, once it is known; None for none."""
        if self._success is None:
            return None
        async with self._started:
            await self._started.wait_for(lambda: round_number in self._rates)
        return await self._rates.pop(round_number)


def _on_one_thread(success: AttackSuccess, weights: torch.Tensor) -> float:
    """Measure on one thread of torch: on several, the last bits of the logits depend on how many.

    They were seen to differ between two and four, and a class that is nearly tied would follow.
    """
    torch.set_num_threads(1)  # it counts for the thread that calls it
    return success(weights)
