"""The recurrent network that predicts the next character."""

from dataclasses import dataclass
from typing import Annotated, cast

from annotated_types import Ge, Le
from torch import Tensor, nn

from fedsiege.inputs import Inputs, Tokens
from fedsiege.models.base import Model, registry


@registry.register
@dataclass(frozen=True)
class CharLstm(Model):
    r"""Predict the class of a sequence, such as its next character, with a recurrent network.

    Each token becomes a vector of learned numbers; layers of LSTM read them one after the other;
    a linear layer classifies the last state. With vectors of :math:`e` numbers, :math:`l` layers of
    :math:`u` units, :math:`v` tokens and :math:`c` classes the numbers of parameters are

    .. math::

        v e + 4u(e + u + 2) + (l - 1)\, 4u(2u + 2) + c(u + 1),

    which is :math:`640 + 272{,}384 + 526{,}336 + 20{,}560 = 819{,}920` for 80 characters.

    Source:
        Sebastian Caldas et al., `LEAF: A Benchmark for Federated Settings
        <https://arxiv.org/abs/1812.01097>`_, 2018, Shakespeare; the layer: Sepp Hochreiter and
        Jürgen Schmidhuber, `Long Short-Term Memory
        <https://doi.org/10.1162/neco.1997.9.8.1735>`_, Neural Computation 9(8), 1997.
    """

    name = "char-lstm"
    summary = "recurrent network for sequences of tokens, LEAF's for Shakespeare"

    embedding: Annotated[int, Ge(1), Le(4096), "numbers that stand for a token"] = 8
    units: Annotated[int, Ge(1), Le(4096), "units of each layer"] = 256
    layers: Annotated[int, Ge(1), Le(8), "recurrent layers"] = 2

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module."""
        if not isinstance(inputs, Tokens):
            raise self.refuse(inputs, "sequences of tokens")
        return LastState(inputs, self.embedding, self.units, self.layers)


class LastState(nn.Module):
    """An embedding, layers of LSTM, and a linear layer behind the last state.

    Args:
        inputs: the sequences.
        embedding: numbers that stand for a token.
        units: units of each layer.
        layers: recurrent layers.
    """

    def __init__(self, inputs: Tokens, embedding: int, units: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(inputs.vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, units, layers, batch_first=True)
        self.fc = nn.Linear(units, inputs.classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits ``(N, classes)`` of ``(N, length)`` int64."""
        states, _ = self.lstm(self.embedding(tokens))
        return cast(Tensor, self.fc(states[:, -1]))
