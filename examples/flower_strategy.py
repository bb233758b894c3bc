"""A rule of FedSiege as the strategy of a Flower server.

Ten clients fit a linear model, two of them hostile: the mean loses the model, Krum does not.
``pip install 'flwr[simulation]' fedsiege``, then ``python examples/flower_strategy.py``.
"""

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation

from fedsiege import rules


class RuleStrategy(FedAvg):
    """Flower's FedAvg with a rule of FedSiege in place of the mean.

    Args:
        rule: as text: ``krum:f=2``, ``nnm/trimmed-mean``.
        model: the layers of the global model, numpy arrays, as Flower passes them.
        settings: of FedAvg.
    """

    def __init__(self, rule, model, **settings):
        super().__init__(initial_parameters=ndarrays_to_parameters(model), **settings)
        self.rule, self.model, self.state = rules.parse(rule), model, None

    def aggregate_fit(self, server_round, results, failures):
        """Return the next global model."""
        if not results:
            return None, {}
        # Clients send weights; rules work on updates, the differences to the global model.
        weights = [parameters_to_ndarrays(fit.parameters) for _, fit in results]
        aggregation = self.rule(
            rules.deltas(weights, self.model),
            [fit.num_examples for _, fit in results],
            context=rules.RoundContext(
                round_number=server_round,
                participants=[int(client.cid) for client, _ in results],
                model=self.model,
            ),
            state=self.state,
        )
        self.state = aggregation.state
        self.model = rules.apply(aggregation.update, self.model)
        return ndarrays_to_parameters(self.model), {"accepted": int(aggregation.accepted.sum())}


TRUTH = np.linspace(-1, 1, 20, dtype=np.float32)


class Client(NumPyClient):
    """Takes five steps of gradient descent on samples of its own; a hostile one goes backwards."""

    def __init__(self, number, hostile):
        self.inputs = np.random.default_rng(number).normal(size=(50, 20)).astype(np.float32)
        self.targets = self.inputs @ TRUTH + 1
        self.rate = -1.0 if hostile else 0.1

    def fit(self, parameters, config):
        """Return the trained weights."""
        weight, bias = parameters
        for _ in range(5):
            error = self.inputs @ weight + bias - self.targets
            weight = weight - self.rate * self.inputs.T @ error / len(error)
            bias = bias - self.rate * error.mean()
        return [weight, bias], len(self.inputs), {}


def run(rule, rounds=10):
    """Return how far the model is from the truth at the end."""
    model = [np.zeros(20, np.float32), np.zeros((), np.float32)]
    strategy = RuleStrategy(rule, model, fraction_evaluate=0.0, min_available_clients=10)

    def client(context):
        number = int(context.node_config["partition-id"])
        return Client(number, hostile=number < 2).to_client()

    def server(context):
        config = ServerConfig(num_rounds=rounds)
        return ServerAppComponents(strategy=strategy, config=config)

    run_simulation(ServerApp(server_fn=server), ClientApp(client_fn=client), num_supernodes=10)
    return float(np.linalg.norm(strategy.model[0] - TRUTH))


if __name__ == "__main__":
    for rule in ("fedavg", "krum:f=2"):
        print(f"{rule}: {run(rule):.3g} from the truth")  # noqa: T201
