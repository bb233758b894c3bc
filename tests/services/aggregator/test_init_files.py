"""Tests of initial weights from files: only files given to the aggregator are read."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import safetensors.torch
import torch

from fedsiege import models
from fedsiege.services.aggregator.__main__ import main
from fedsiege.services.aggregator.service import AggregatorService
from fedsiege.services.errors import Refusal
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.server import serving
from fedsiege.services.simulator.remote_federation import RemoteFederation
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc


def weights(seed: int) -> torch.Tensor:
    return models.random_weights("net", seed)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with valid and invalid checkpoints, and files outside of it."""
    folder = tmp_path / "data" / "checkpoints"
    folder.mkdir(parents=True)
    models.write_checkpoint(folder / "own.safetensors", "net", weights(1), {})
    models.write_checkpoint(tmp_path / "named.safetensors", "net", weights(2), {})
    models.write_checkpoint(tmp_path / "data" / "beside.safetensors", "net", weights(3), {})
    models.write_checkpoint(folder / "other-model.safetensors", "lenet5", torch.zeros(44_426), {})
    models.write_checkpoint(
        folder / "destroyed.safetensors", "net", weights(1).fill_(torch.nan), {}
    )
    (folder / "text.safetensors").write_text("no tensors")
    half = {key: value.half() for key, value in tensors(folder / "own.safetensors").items()}
    safetensors.torch.save_file(half, folder / "half.safetensors")
    return tmp_path / "data"


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(path)


@pytest.fixture
async def stub(data: Path) -> AsyncIterator["rpc.AggregatorServiceAsyncStub"]:
    named = data.parent / "named.safetensors"
    service = AggregatorService(data, init_files=[named])
    async with serving(
        "127.0.0.1:0",
        lambda server: rpc.add_AggregatorServiceServicer_to_server(service, server),
        [],
    ) as port:
        async with connect(f"127.0.0.1:{port}") as channel:
            yield rpc.AggregatorServiceStub(channel)
        await service.close()


async def create(stub: "rpc.AggregatorServiceAsyncStub", init: str) -> RemoteFederation:
    spec = pb.FederationSpec(model="net", dataset="digits", init=init)
    response = await stub.CreateFederation(pb.CreateFederationRequest(spec=spec))
    return RemoteFederation(stub, response.federation)


async def refusal(stub: "rpc.AggregatorServiceAsyncStub", init: str) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await create(stub, init)
    return Refusal.of(error.value)


async def test_permitted_files_are_loaded_and_reported_with_digest(
    stub: "rpc.AggregatorServiceAsyncStub", data: Path
) -> None:
    named = data.parent / "named.safetensors"
    for init, path, seed in (
        ("own.safetensors", data / "checkpoints" / "own.safetensors", 1),
        (str(named), named, 2),
        ("named.safetensors", named, 2),
    ):
        federation = await create(stub, init)
        model, _ = await federation.model()
        assert torch.equal(torch.from_numpy(model.copy()), weights(seed))
        described = federation.described
        assert described.spec.init == path.name, "where it lies is not for every caller"
        assert described.init_sha256 == models.sha256(path)
        assert (await create(stub, described.spec.init)).described.spec == described.spec


async def test_other_paths_get_one_answer_whether_or_not_they_exist(
    stub: "rpc.AggregatorServiceAsyncStub", data: Path
) -> None:
    answers = set()
    for init in (
        "/etc/passwd",
        "/etc/no-such-file",
        str(data / "beside.safetensors"),
        str(data / "checkpoints" / "own.safetensors"),
        "../beside.safetensors",
        "gone.safetensors",
        "zeros",
    ):
        found = await refusal(stub, init)
        assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE")
        answers.add(found.message.replace(repr(init), "..."))
    assert len(answers) == 1, answers
    assert "pretrained, random" in answers.pop()


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ("other-model", "of 'conv1.weight' net has [1, 1, 5, 5], the file [6, 1, 5, 5]"),
        ("destroyed", "finite"),
        ("text", "it must be a safetensors file"),
    ],
)
async def test_a_file_of_another_model_is_refused_without_its_path(
    init: str, words: str, stub: "rpc.AggregatorServiceAsyncStub", data: Path
) -> None:
    found = await refusal(stub, f"{init}.safetensors")
    assert found.code == grpc.StatusCode.INVALID_ARGUMENT
    assert words in found.message
    assert str(data) not in found.message


@pytest.mark.parametrize("files", [["gone"], ["a/x", "b/x"]])
def test_init_files_of_the_command_line_must_exist_and_differ_by_name(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a/x", "b/x"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(SystemExit) as end:
        main([f"--init-file={tmp_path / name}" for name in files])
    assert end.value.code == 2
    assert "--init-file" in capsys.readouterr().err
