"""Sentinel: a rule and detector against fake clients that needs neither their number nor root data.

- rule.py        the rule: its steps in order
- state.py       what it remembers of each identity, and for how long
- products.py    the one pass over the matrix that leaves ``n x n`` numbers
- layers.py      which parts of an update are a layer's weights and biases
- measures.py    what real training leaves behind in each layer, measured
- spectrum.py    how much of a matrix is in its two largest singular values
- dead_set.py    coordinates that no honest participant moves
- invariants.py  hard tests: who breaks what the cohort shows
- energy.py      who is alone with its direction
- faction.py     whether a minority pulls one way of its own
- camps.py       whether there are two camps, and which is the larger
- consensus.py   whether there is a common direction, and what is left without it
- direction.py   who points away from it
- similarity.py  less weight for those who are alike
"""

from fedsiege.rules.sentinel.rule import STEPS, Sentinel
from fedsiege.rules.sentinel.state import SentinelState

__all__ = ["STEPS", "Sentinel", "SentinelState"]
