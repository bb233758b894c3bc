"""Names of before, which go on working and say their new ones."""

import importlib

import pytest

#: What was public before, and where it is now.
MOVED = {
    "fedsiege.aggregation:Aggregation": "fedsiege.rules:Aggregation",
    "fedsiege.aggregation:Krum": "fedsiege.rules:Krum",
    "fedsiege.aggregation:RoundContext": "fedsiege.rules:RoundContext",
    "fedsiege.aggregation:Rule": "fedsiege.rules:Rule",
    "fedsiege.aggregation:catalogue": "fedsiege.rules:registry",
    "fedsiege.aggregation:create": "fedsiege.rules:create",
    "fedsiege.aggregation:names": "fedsiege.rules:names",
    "fedsiege.aggregation:parse": "fedsiege.rules:parse",
    "fedsiege.aggregation:spell": "fedsiege.rules:spell",
    "fedsiege.attacks:catalogue": "fedsiege.attacks:registry",
    "fedsiege.audit:Audit": "fedsiege.detectors:Audit",
    "fedsiege.audit:Detector": "fedsiege.detectors:Detector",
    "fedsiege.audit:catalogue": "fedsiege.detectors:registry",
    "fedsiege.audit:create": "fedsiege.detectors:create",
    "fedsiege.audit:parse": "fedsiege.detectors:parse",
    "fedsiege.catalogue:Catalogue": "fedsiege.registry:Registry",
    "fedsiege.catalogue:Parameter": "fedsiege.registry:Parameter",
    "fedsiege.catalogue:spell": "fedsiege.registry:spell",
    "fedsiege.datasets:Source": "fedsiege.datasets:DatasetSource",
    "fedsiege.datasets:catalogue": "fedsiege.datasets:registry",
    "fedsiege.detectors:catalogue": "fedsiege.detectors:registry",
    "fedsiege.models:Architecture": "fedsiege.models:Model",
    "fedsiege.models:catalogue": "fedsiege.models:registry",
    "fedsiege.partition:Dirichlet": "fedsiege.partitions:Dirichlet",
    "fedsiege.partition:create": "fedsiege.partitions:parse",
    "fedsiege.partition:names": "fedsiege.partitions:names",
    "fedsiege.rules.pre:catalogue": "fedsiege.rules.pre:registry",
    "fedsiege.rules:catalogue": "fedsiege.rules:registry",
    "fedsiege.spec:ExperimentSpec": "fedsiege.experiment.spec:ExperimentSpec",
}


def test_a_name_of_before_gives_what_the_new_one_gives_and_says_so() -> None:
    for old, new in MOVED.items():
        (module, name), (target, wanted) = old.split(":"), new.split(":")
        message = f"^{module}.{name} is {target}.{wanted} now$"
        with pytest.warns(DeprecationWarning, match=message) as caught:
            found = getattr(importlib.import_module(module), name)
        assert found == getattr(importlib.import_module(target), wanted), old
        assert caught[0].filename == __file__, "the warning must point to the caller"


def test_a_name_that_never_was_is_unknown() -> None:
    name = "nothing"
    for module in {old.split(":")[0] for old in MOVED}:
        with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'nothing'"):
            getattr(importlib.import_module(module), name)


def test_new_names_do_not_warn() -> None:
    """Warnings are errors in tests."""
    for new in MOVED.values():
        module, name = new.split(":")
        getattr(importlib.import_module(module), name)
