"""Defaults that are the papers' or the authors' code's: another one is another rule."""

from fedsiege import rules
from tests.cases import each

DEFAULTS = {
    "auror": {"majority": 0.5},
    "centered-clipping": {"steps": 1},
    "crfl": {"bound": 15.0, "noise": 0.01},
    "dnc": {"iterations": 1, "subsample": 10_000, "filter": 1.0},
    "fedredefense": {"threshold": 0.6, "steps": 5},
    "flame": {"noise": 0.001},
    "fldetector": {"window": 10},
    "fltrust": {"root": 100},
    "layerguard": {"neighbours": 2, "start": 0.95, "step": 0.05},
    "signguard": {"lower": 0.1, "upper": 3.0, "share": 0.1},
    "specguard": {"root": 100, "directions": 5, "every": 20, "keep": 0.75},
    "rfout1d": {"clip": None, "noise": 0.0},
    "rfout1d-robust": {"deviations": 3.0},
}


@each("name", DEFAULTS)
def test_the_numbers_are_the_published_ones(name: str) -> None:
    rule = rules.create(name)
    assert {key: getattr(rule, key) for key in DEFAULTS[name]} == DEFAULTS[name]
