"""Compare three rules over three seeds: mean accuracy, in a band from lowest to highest."""

import matplotlib.pyplot as plt
import pandas as pd

import fedsiege

for rule in ("fedavg", "norm-clipping:bound=1", "median"):
    settings = {"rule": rule, "attack": 0.45, "dataset": "digits", "clients": 40, "rounds": 10}
    runs = [fedsiege.run(settings, seed=seed) for seed in range(3)]
    accuracy = pd.concat([run.history.set_index("round")["accuracy"] for run in runs], axis=1)
    plt.plot(accuracy.mean(axis=1), label=rule)
    plt.fill_between(accuracy.index, accuracy.min(axis=1), accuracy.max(axis=1), alpha=0.2)
plt.legend(title="mean accuracy by round")
plt.savefig("compare_rules.png")
