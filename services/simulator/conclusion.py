"""What is written when an experiment ends."""

import asyncio
from collections.abc import Callable, Sequence

import grpc

from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.results import ResultsFolder
from fedsiege.v1 import simulator_pb2 as pb
from services.errors import Refusal
from services.simulator.conversion import intrusion_row
from services.simulator.remote_federation import RemoteFederation


async def conclude(
    folder: ResultsFolder,
    resolved: ResolvedSpec,
    federation: RemoteFederation,
    intrusions: Sequence[pb.IntrusionReport],
    note: Callable[[str], None],
) -> None:
    """Write intrusions, plots and model beside the rounds that have been recorded.

    Args:
        folder: the results folder; has rounds.
        resolved: what was run.
        federation: has the model.
        intrusions: what came of the ways to get in that were asked for.
        note: told what people should know.

    Raises:
        OSError: the first file that could not be written; all others were tried.
    """
    spec = resolved.spec
    # Where one file does not fit on the disk, a smaller one still may.
    problems: list[OSError] = []
    try:
        if spec.intrusions:
            folder.add_intrusions(map(intrusion_row, intrusions))
    except OSError as error:
        problems.append(error)
    try:
        await asyncio.to_thread(
            folder.write_plots,
            spec.name or f"{spec.model} on {spec.dataset}",
            subtitle(resolved),
        )
    except OSError as error:
        problems.append(error)
    try:
        weights, header = await federation.model()
        layout = [(one.name, tuple(one.shape)) for one in header.manifest.tensors]
        kept = {"rounds": str(header.round - 1), "model": spec.model}
        folder.write_model(layout, weights, kept)
    except grpc.aio.AioRpcError as error:
        note(f"the model could not be kept: {Refusal.of(error)}")
    except OSError as error:
        problems.append(error)
    if problems:
        raise problems[0]


def subtitle(resolved: ResolvedSpec) -> str:
    """Return what stands below the title of a run's picture."""
    spec = resolved.spec
    level = resolved.knowledge.level if resolved.knowledge else "none"
    attack = f"{spec.attack_name}, {spec.attack:.0%} hostile, knowledge {level}"
    size = f"{spec.clients} participants" if spec.clients else "open to newcomers"
    return " · ".join(
        [
            attack if spec.attack else "no attack",
            spec.rule,
            size,
            spec.partition,
            f"seed {spec.seed}",
        ]
    )
