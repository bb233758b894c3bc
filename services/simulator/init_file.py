"""The file of initial weights that a run is asked to begin with, checked before it starts."""

from pathlib import Path

from fedsiege.errors import InvalidValue, MissingData
from fedsiege.experiment.spec import ExperimentSpec


def check(spec: ExperimentSpec, data: Path) -> tuple[list[Path], list[str]]:
    """Check that a run can begin with the file that ``init`` names, if it names one.

    Args:
        spec: the experiment.
        data: the folder of the data sets; files in its folder ``checkpoints`` go by their name.

    Returns:
        The files that the aggregator must be given at its start, and notes for people.

    Raises:
        InvalidValue: there is no such file, or it is not one of the model, or not finite.
    """
    from fedsiege import models  # brings torch

    if spec.init is None or spec.init in models.WORDS:
        return [], []
    own = Path(spec.init)
    path = models.find_checkpoint(spec.init, data, [own] if own.is_file() else [])
    if path is None:
        allowed = (
            "pretrained, random, or a safetensors file; there is none of that path, and none of "
            f"that name in {data / 'checkpoints'}"
        )
        raise InvalidValue("INIT", spec.init, allowed)
    try:
        models.read_finite(path, spec.model)
    except InvalidValue as error:
        raise InvalidValue("INIT", spec.init, error.allowed) from error
    except MissingData as error:
        raise InvalidValue("INIT", spec.init, f"a file that can be read: {error}") from error
    note = f"INIT={spec.init} has SHA-256 {models.sha256(path)}"
    return ([own] if path == own else []), [note]
