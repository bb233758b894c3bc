"""Files written at the end of an experiment: intrusions, plots and the model."""

import asyncio
from collections.abc import Callable, Sequence

import grpc

from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.results import ResultsFolder
from fedsiege.results.plots.heading import heading
from fedsiege.services.errors import Refusal
from fedsiege.services.simulator.conversion import intrusion_row
from fedsiege.services.simulator.remote_federation import RemoteFederation
from fedsiege.v1 import simulator_pb2 as pb


async def conclude(
    folder: ResultsFolder,
    resolved: ResolvedSpec,
    federation: RemoteFederation,
    intrusions: Sequence[pb.IntrusionReport],
    note: Callable[[str], None],
) -> None:
    """Write intrusions, plots and the model to the results folder.

    Args:
        folder: the results folder, with at least one recorded round.
        resolved: the experiment's resolved specification.
        federation: the federation, from which the model is pulled.
        intrusions: the reports of the attacker's intrusions.
        note: called with a text for people if the model cannot be pulled.

    Raises:
        OSError: a file could not be written; the other files were still attempted.
    """
    spec = resolved.spec
    # On a full disk a smaller file may still fit.
    problems: list[OSError] = []
    try:
        if spec.intrusions:
            folder.add_intrusions(map(intrusion_row, intrusions))
    except OSError as error:
        problems.append(error)
    try:
        await asyncio.to_thread(folder.write_plots, *heading(spec, resolved.knowledge))
    except OSError as error:
        problems.append(error)
    try:
        weights, header = await federation.model()
        layout = [(one.name, tuple(one.shape)) for one in header.manifest.tensors]
        kept = {"rounds": str(header.round - 1), "model": spec.model}
        folder.write_model(layout, weights, kept)
    except grpc.aio.AioRpcError as error:
        note(f"the model could not be saved: {Refusal.of(error)}")
    except OSError as error:
        problems.append(error)
    if problems:
        raise problems[0]
