"""Sentinel: a rule against fake clients that needs neither their number nor clean data.

Read ``rule.py`` first: it applies the steps in order. The steps are in

- state.py       what is remembered of each participant, and for how long
- pool.py        unit updates, their moving averages, and the products of all pairs
- layers.py      the layers of a model, and the features of an update in each of them
- hard_tests.py  tests of single updates for properties that all training shares
- directions.py  tests and weights by direction: energy, consensus, similarity
- clusters.py    clusters of updates with a common direction

``docs/sentinel.md`` describes the method, ``docs/sentinel-development.md`` how it was found.
"""

from fedsiege.rules.sentinel.rule import STEPS, Sentinel
from fedsiege.rules.sentinel.state import SentinelState

__all__ = ["STEPS", "Sentinel", "SentinelState"]
