"""Run Flower's simulation engine and print how long its rounds took, as JSON on the last line.

``round_seconds`` are the times from one round's end to the next; ``first_round_closed_at`` is on
the monotonic clock, which all processes of a machine share.

Run by the peer's own interpreter, never by ours::

    .bench/flower/bin/python benchmarks/peers/flower_simulation.py rounds --rounds 5

Flower in its best configuration here: its Python entry point (the same engine as ``flwr run``, but
without the two extra processes), client apps importable by name, one core per client so that all
cores work, telemetry and evaluation off.
"""

import argparse
import importlib
import itertools
import json
import os
import time

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def main() -> None:
    """Parse the command line and run the simulation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=["rounds", "training"])
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpus-per-client", type=float, default=1.0)
    parser.add_argument("--model", choices=["lenet5", "net"], default="lenet5")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--momentum", type=float, default=0.0)
    options = parser.parse_args()
    os.environ["BENCH_MODEL"] = options.model  # inherited by the engine's processes

    from flwr.app import ConfigRecord, Context  # after telemetry is off
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation

    work = importlib.import_module(f"flower_{options.work}")
    closed: list[float] = []

    class TimedFedAvg(FedAvg):
        """FedAvg that records when each round is aggregated."""

        def aggregate_train(self, server_round, replies):
            replies = list(replies)
            if len(replies) != options.clients or any(reply.has_error() for reply in replies):
                raise SystemExit(f"round {server_round}: {len(replies)} replies, some failed")
            result = super().aggregate_train(server_round, replies)
            closed.append(time.monotonic())
            return result

    server = ServerApp()

    @server.main()
    def serve(grid: Grid, context: Context) -> None:
        strategy = TimedFedAvg(
            fraction_evaluate=0.0,
            min_train_nodes=options.clients,
            min_available_nodes=options.clients,
        )
        strategy.start(
            grid,
            work.initial_arrays(),
            num_rounds=options.rounds,
            train_config=ConfigRecord(
                {
                    "epochs": options.epochs,
                    "learning-rate": options.learning_rate,
                    "momentum": options.momentum,
                }
            ),
        )

    run_simulation(
        server_app=server,
        client_app=work.app,
        num_supernodes=options.clients,
        backend_config={
            "client_resources": {"num_cpus": options.cpus_per_client, "num_gpus": 0.0},
        },
    )
    if len(closed) != options.rounds:
        raise SystemExit(f"{options.rounds} rounds were asked for, {len(closed)} finished")
    seconds = [later - earlier for earlier, later in itertools.pairwise(closed)]
    print(json.dumps({"round_seconds": seconds, "first_round_closed_at": closed[0]}))


if __name__ == "__main__":
    main()
