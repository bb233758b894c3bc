"""The gRPC service of the aggregator: checks requests and passes them to a federation."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedsiege import datasets, detectors, models, rules, seeding
from fedsiege.datasets import Dataset
from fedsiege.errors import InvalidValue, MissingData
from fedsiege.models import imagenet
from fedsiege.services.aggregator.admission import Admission, Open
from fedsiege.services.aggregator.federation import Federation
from fedsiege.services.aggregator.ingest import UpdateStream
from fedsiege.services.aggregator.participants import check_request
from fedsiege.services.aggregator.watching import LARGEST_PAGE, watch
from fedsiege.services.errors import Exhausted, Malformed, NotFound, WrongState
from fedsiege.services.identity import callers
from fedsiege.services.rpc.guard import Guard
from fedsiege.services.rpc.interceptor import reads_with
from fedsiege.services.rpc.pieces import read_pieces
from fedsiege.training.base import Shard
from fedsiege.training.evaluation import Evaluator
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

log = logging.getLogger(__name__)

NAME_LENGTH = 100
DEFAULT_PAGE = 1_000
#: Methods that participants may call.
PARTICIPANT = frozenset(
    {
        "GetFederation",
        "ListFederations",
        "Enroll",
        "GetModel",
        "SubmitUpdates",
        "WatchRounds",
        "GetAccuracyHistory",
        "ListParticipants",
    }
)
#: Methods that the control plane may call.
CONTROL = PARTICIPANT | {"CreateFederation", "CloseFederation", "OpenRound", "StopWaiting"}
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Limits:
    """Limits of one aggregator.

    Attributes:
        federations: the number of federations held at a time.
        participants: the largest capacity of a federation.
    """

    federations: int = 64
    participants: int = 100_000


class AggregatorService(rpc.AggregatorServiceServicer):
    """Serves federations.

    Args:
        data: the folder of the data sets.
        limits: the limits of this aggregator; None for the default.
        admission: the admission mode; None to admit every identity.
        guard: enforces the limits of peers; the same one as the server's.
        init_files: files that a federation may name as its initial weights, besides those in the
            folder ``checkpoints`` of ``data``.
    """

    def __init__(
        self,
        data: Path,
        limits: Limits | None = None,
        admission: Admission | None = None,
        guard: Guard | None = None,
        init_files: Sequence[Path] = (),
    ) -> None:
        self._data = data
        self._init_files = tuple(init_files)
        self._admission = admission or Open()
        self._guard = Guard() if guard is None else guard
        self._limits = limits or Limits()
        self._federations: dict[str, Federation] = {}
        self._evaluators: dict[tuple[models.Classifier, str, str], Evaluator] = {}
        self._creating = asyncio.Lock()

    def _find(self, federation_id: str) -> Federation:
        federation = self._federations.get(federation_id)
        if federation is None:
            raise NotFound("UNKNOWN_FEDERATION", f"there is no federation {federation_id[:100]!r}")
        return federation

    def _find_or_newest(self, federation_id: str) -> Federation:
        """Return a federation for reading: the newest if no id is given.

        Methods that change a federation use ``_find``, which needs an id.
        """
        if not federation_id and self._federations:
            return list(self._federations.values())[-1]
        return self._find(federation_id)

    async def CreateFederation(
        self, request: pb.CreateFederationRequest, context: Any
    ) -> pb.CreateFederationResponse:
        """Create a federation: resolve its specification, build and test its initial model."""
        spec = request.spec
        rule = rules.parse(spec.rule or "fedavg")
        auditing = detectors.parse(spec.audit) if spec.audit else None
        device = spec.device or "cpu"
        if device not in DEVICES or (device == "cuda" and not torch.cuda.is_available()):
            raise InvalidValue("device", device, "cpu, or cuda where this aggregator has one")
        file = self._init_file(spec.init, spec.model)
        if len(spec.name) > NAME_LENGTH:
            raise Malformed(
                "INVALID_VALUE",
                f"a name of {len(spec.name)} characters exceeds the limit of {NAME_LENGTH}",
            )
        capacity = spec.capacity or self._limits.participants
        if capacity > self._limits.participants:
            raise Exhausted(
                "TOO_MANY_PARTICIPANTS",
                f"a capacity of {capacity} exceeds this aggregator's limit of "
                f"{self._limits.participants}",
            )
        if spec.admission not in ("", self._admission.name):
            raise WrongState(
                "WRONG_ADMISSION",
                f"admission {spec.admission[:NAME_LENGTH]!r} is not available; this aggregator "
                f"was started with {self._admission.name}",
            )
        async with self._creating:
            if len(self._federations) >= self._limits.federations:
                raise Exhausted(
                    "TOO_MANY_FEDERATIONS",
                    f"this aggregator holds {self._limits.federations} federations, its limit; "
                    "close one",
                )
            data = await asyncio.to_thread(datasets.load, spec.dataset, self._data)
            classifier = models.Classifier(spec.model, data.inputs)
            weights, init, sha256 = await asyncio.to_thread(
                _initial_weights, spec, classifier, file
            )
            evaluator = await self._evaluator(classifier, spec.dataset, data, device)
            root = await asyncio.to_thread(_root, rule.root_samples, spec, data, device)
            resolved = pb.FederationSpec()
            resolved.CopyFrom(spec)
            resolved.MergeFrom(
                pb.FederationSpec(
                    init=init,
                    rule=rules.spell(rule),
                    capacity=capacity,
                    device=device,
                    admission=self._admission.name,
                    audit="" if auditing is None else detectors.spell(auditing),
                )
            )
            federation = Federation(
                secrets.token_hex(6),
                resolved,
                classifier,
                weights.numpy(),
                rule,
                evaluator,
                root,
                auditing,
            )
            federation.init_sha256 = sha256
            await federation.measure_initial_model()
            self._federations[federation.federation_id] = federation
        log.info(
            "federation %s: %s, %s, %s", federation.federation_id, spec.model, init, resolved.rule
        )
        return pb.CreateFederationResponse(federation=federation.describe())

    def _init_file(self, init: str, model: str) -> Path | None:
        """Return the file that ``init`` names; None if ``init`` names no file.

        A caller must not learn which files exist on this machine: any other path gets the same
        answer, whether it exists or not.

        Raises:
            InvalidValue: a federation may not begin with such a file.
        """
        if init in ("", "pretrained", "random"):
            return None
        name = imagenet.file_name(model) if init == "imagenet" else init
        path = models.find_checkpoint(name, self._data, self._init_files)
        if path is None and init == "imagenet":
            raise InvalidValue("init", init, f"with {name} in the checkpoints folder of its data")
        if path is None:
            allowed = (
                f"one of {', '.join(models.WORDS)}, empty, or the name of a file that this "
                "aggregator was started with or that lies in the checkpoints folder of its data"
            )
            raise InvalidValue("init", init, allowed)
        return path

    async def _evaluator(
        self, classifier: models.Classifier, dataset: str, data: Dataset, device: str
    ) -> Evaluator:
        """Return the evaluator of a model on a data set's held-out part, from a cache."""
        key = (classifier, dataset, device)
        if key not in self._evaluators:
            self._evaluators[key] = await asyncio.to_thread(
                Evaluator, classifier, data.test_samples, data.test_labels, device, data.preparation
            )
        return self._evaluators[key]

    async def GetFederation(
        self, request: pb.GetFederationRequest, context: Any
    ) -> pb.GetFederationResponse:
        """Describe a federation."""
        return pb.GetFederationResponse(
            federation=self._find_or_newest(request.federation_id).describe()
        )

    async def ListFederations(
        self, request: pb.ListFederationsRequest, context: Any
    ) -> pb.ListFederationsResponse:
        """Describe all federations."""
        described = [federation.describe() for federation in self._federations.values()]
        return pb.ListFederationsResponse(federations=described)

    async def CloseFederation(
        self, request: pb.CloseFederationRequest, context: Any
    ) -> pb.CloseFederationResponse:
        """End a federation."""
        federation = self._find(request.federation_id)
        del self._federations[request.federation_id]
        await federation.close()
        return pb.CloseFederationResponse()

    async def Enroll(self, request: pb.EnrollRequest, context: Any) -> pb.EnrollResponse:
        """Enrol identities, all or none."""
        federation, caller = self._find(request.federation_id), callers.current()
        check_request(request.enrollments)  # before a token is bound to an invalid name
        await self._admission.admit(request.enrollments, caller)
        enrolled = federation.participants.enroll(
            request.enrollments,
            identities_proved=self._admission.proves_identity,
            permit=lambda newcomers: self._guard.enrolled(caller, newcomers, federation),
        )
        return pb.EnrollResponse(
            memberships=[
                pb.Membership(identity=one.identity, participant_index=one.index)
                for one in enrolled
            ]
        )

    async def GetModel(
        self, request_iterator: AsyncIterator[pb.GetModelRequest], context: Any
    ) -> AsyncIterator[Any]:
        """Stream the requested models; their messages were serialised after the round before."""
        async for request in request_iterator:
            federation = self._find(request.federation_id)
            for message in federation.encoded_model(request.round, even_closed=request.even_closed):
                yield message

    async def OpenRound(self, request: pb.OpenRoundRequest, context: Any) -> pb.OpenRoundResponse:
        """Open the next round."""
        opened = self._find(request.federation_id).open_round(
            request.round,
            request.participant_indices,
            request.threshold,
            request.deadline.seconds + request.deadline.nanos / 1e9,
        )
        return pb.OpenRoundResponse(
            round=opened.number, participants=len(opened.indices), threshold=opened.threshold
        )

    async def StopWaiting(
        self, request: pb.StopWaitingRequest, context: Any
    ) -> pb.StopWaitingResponse:
        """Stop waiting for participants whose updates cannot come any more."""
        federation = self._find(request.federation_id)
        still_open = federation.stop_waiting(request.round, request.participant_indices)
        return pb.StopWaitingResponse(open=still_open)

    @reads_with(read_pieces)
    async def SubmitUpdates(
        self, request_iterator: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[pb.SubmitUpdatesResponse]:
        """Receive updates, each checked on its own, and stream their receipts."""
        stream = UpdateStream(self._find, self._admission, callers.current())
        async for response in stream.answers(request_iterator):
            yield response

    async def WatchRounds(
        self, request: pb.WatchRoundsRequest, context: Any
    ) -> AsyncIterator[pb.WatchRoundsResponse]:
        """Stream the events of a federation's rounds."""
        federation = self._find_or_newest(request.federation_id)
        name = federation.federation_id
        events = watch(federation, request.from_round, participants=request.participants)
        async for event in events:
            event.federation_id, name = name, ""
            yield event

    async def GetAccuracyHistory(
        self, request: pb.GetAccuracyHistoryRequest, context: Any
    ) -> pb.GetAccuracyHistoryResponse:
        """Return the accuracy history."""
        federation = self._find_or_newest(request.federation_id)
        return pb.GetAccuracyHistoryResponse(
            historical_accuracy=federation.history, federation_id=federation.federation_id
        )

    async def ListParticipants(
        self, request: pb.ListParticipantsRequest, context: Any
    ) -> pb.ListParticipantsResponse:
        """Return a page of participants."""
        federation = self._find_or_newest(request.federation_id)
        size = request.page_size or DEFAULT_PAGE
        if size > LARGEST_PAGE:
            raise Malformed(
                "INVALID_VALUE", f"page_size {size} exceeds the limit of {LARGEST_PAGE}"
            )
        after = _read_token(request.page_token)
        number, page, more = federation.participants_after(request.round, after, size)
        return pb.ListParticipantsResponse(
            participants=page,
            next_page_token=str(page[-1].participant_index) if more else "",
            round=number,
            federation_id=federation.federation_id,
        )

    async def close(self) -> None:
        """Close all federations, so that no stream keeps the server from stopping."""
        for federation in self._federations.values():
            await federation.close()


def _root(count: int, spec: pb.FederationSpec, data: Dataset, device: str) -> Shard | None:
    """Return clean training samples for a rule that needs them; None for a count of 0.

    Raises:
        InvalidValue: the data set has fewer training samples.
    """
    if count == 0:
        return None
    if count > len(data.train_labels):
        allowed = f"up to {len(data.train_labels)}, the training samples of {spec.dataset}"
        raise InvalidValue("root", count, allowed)
    draw = seeding.generator(spec.seed, "root samples")
    chosen = draw.choice(len(data.train_labels), count, replace=False)
    images = data.tensor(data.train_samples[chosen]).to(device)
    return Shard(images, torch.from_numpy(data.train_labels[chosen]).long().to(device))


def _initial_weights(
    spec: pb.FederationSpec, classifier: models.Classifier, file: Path | None
) -> tuple[Tensor, str, str]:
    """Return the initial weights, their name, and the SHA-256 of their file (empty for no file).

    Raises:
        InvalidValue: ``init`` is unknown, or the file does not fit the model. The message has the
            file's name as given, not its path on this machine.
    """
    if file is None:
        weights, init = models.initial_weights(classifier, spec.init, spec.dataset, spec.seed)
        return weights, init, ""
    models.size(classifier)  # raises for an unknown model, before the file is read
    try:
        weights, remark = models.read_initial(file, classifier, spec.seed)
        if remark:
            log.info(remark)
        return weights, file.name, models.sha256(file)
    except InvalidValue as error:
        raise InvalidValue("init", spec.init, error.allowed) from error
    except (MissingData, OSError) as error:
        raise InvalidValue("init", spec.init, "a readable safetensors file") from error


def _read_token(token: str) -> int:
    """Return the index after which the page of a token begins; -1 for no token."""
    if token and not (token.isascii() and token.isdigit() and len(token) < 12):
        raise Malformed("INVALID_VALUE", f"page_token {token[:40]!r} was not given by this server")
    return int(token) if token else -1
