"""Check of the file of initial weights before a run starts."""

from pathlib import Path

from fedsiege.errors import InvalidValue, MissingData
from fedsiege.experiment.resolve import ResolvedSpec


def check(resolved: ResolvedSpec, data: Path) -> tuple[list[Path], list[str]]:
    """Check the file of initial weights that ``init`` names, if it names one.

    Args:
        resolved: the experiment.
        data: the folder of the data sets; a file in its folder ``checkpoints`` needs only its name.

    Returns:
        The files to pass to the aggregator at its start, and notes for people.

    Raises:
        InvalidValue: the file is missing, has another layout than the model, or is not finite.
    """
    from fedsiege import datasets, models  # imported late: it imports torch

    spec = resolved.spec

    if spec.init is None or spec.init in models.WORDS:
        return [], []
    own = Path(spec.init)
    path = models.find_checkpoint(spec.init, data, [own] if own.is_file() else [])
    if path is None:
        allowed = (
            "pretrained, random, or a safetensors file; no file has that path, and none that name "
            f"in {data / 'checkpoints'}"
        )
        raise InvalidValue("INIT", spec.init, allowed)
    try:
        inputs = resolved.inputs or datasets.load(spec.dataset, data).inputs
        models.read_finite(path, models.Classifier(spec.model, inputs))
    except InvalidValue as error:
        raise InvalidValue("INIT", spec.init, error.allowed) from error
    except MissingData as error:
        raise InvalidValue("INIT", spec.init, f"a readable file: {error}") from error
    note = f"INIT={spec.init} has SHA-256 {models.sha256(path)}"
    return ([own] if path == own else []), [note]
