"""Flower's side of the echo round: every client sends the model back, without training.

Runs inside the peer's environment, where Flower's simulation engine starts it.
"""

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

#: The size of LeNet-5, so that echo and training rounds carry the same bytes.
PARAMETERS = 44_426

app = ClientApp()


def initial_arrays() -> ArrayRecord:
    """Return the vector that is sent."""
    return ArrayRecord([np.zeros(PARAMETERS, np.float32)])


@app.train()
def train(message: Message, context: Context) -> Message:
    """Answer with the received record, without decoding it."""
    content = RecordDict(
        {"arrays": message.content["arrays"], "metrics": MetricRecord({"num-examples": 1})}
    )
    return Message(content, reply_to=message)
