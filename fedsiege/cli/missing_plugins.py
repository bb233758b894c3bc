"""Errors about a run that is repeated without a plug-in that it used."""

from pathlib import Path

from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.results.run_info import FILE, RunInfo


def explain(error: FedSiegeError, spec: Path | None) -> FedSiegeError:
    """Return an error that also names the plug-ins that are missing here.

    Args:
        error: what is wrong.
        spec: the ``spec.yaml`` that was run, beside which ``run.json`` may lie; None for none.

    Returns:
        The same error where no plug-in is missing, or none is known.
    """
    if not isinstance(error, InvalidValue) or spec is None or not (spec.parent / FILE).is_file():
        return error
    try:
        missing = [one for one in RunInfo.read(spec.parent).plugins if one.missing]
    except (InvalidValue, OSError):
        return error
    hints = [
        f"The run used the plug-in {one}; "
        + (f"give it as --plugin {one.name}" if one.sha256 else "it is not installed here")
        for one in missing
    ]
    return InvalidValue(error.name, error.value, ". ".join([error.allowed, *hints]))
