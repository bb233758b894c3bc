"""Running statistics cross the wire with the parameters, and come back in the update."""

import numpy as np
import torch

from fedsiege import datasets, models
from fedsiege.v1 import aggregator_pb2 as pb
from tests.federation.conftest import DATA

MODEL = "resnet20:norm=batch"


async def test_names_and_shapes_of_the_statistics_are_sent(create):
    federation = await create(model=MODEL, init="random")
    of = models.Classifier(MODEL, datasets.load("digits", DATA).inputs)
    layout = models.layout(of)
    request = pb.GetModelRequest(federation_id=federation.id)
    manifest = (await anext(aiter(federation.stub.GetModel(iter([request]))))).header.manifest
    assert [(one.name, tuple(one.shape)) for one in manifest.tensors] == list(layout)
    assert federation.size == models.size(of) > models.trained(of)
    sent = await federation.model()
    module = of.create()
    models.unflatten_into(module, torch.from_numpy(sent.copy()))
    assert all(not mean.any() for key, mean in module.named_buffers() if "running_mean" in key)
    assert all((var == 1).all() for key, var in module.named_buffers() if "running_var" in key)


async def test_an_update_must_have_them_and_moves_them(create):
    federation = await create(model=MODEL, init="random")
    await federation.enroll(3)
    before = await federation.model()
    trained = models.trained(models.Classifier(MODEL, datasets.load("digits", DATA).inputs))
    await federation.open()
    found = await federation.refusal(federation.pieces(2, np.zeros(trained, np.float32)))
    assert str(federation.size) in found.message
    update = np.zeros(federation.size, np.float32)
    update[trained:] = np.linspace(0.1, 0.5, federation.size - trained, dtype=np.float32)
    for index in range(2):
        await federation.submit(index, update)
    entry = await federation.closed(1)
    assert entry.problem == ""
    np.testing.assert_allclose(await federation.model(), before + update, rtol=1e-6)
