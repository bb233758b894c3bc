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
    from fedsiege.models import imagenet

    spec = resolved.spec

    if spec.init is None or spec.init in ("pretrained", "random"):
        return [], []
    own = Path(spec.init)
    if spec.init == "imagenet":
        try:
            path: Path | None = imagenet.fetch(spec.model, data / "checkpoints")
        except MissingData as error:
            raise InvalidValue("INIT", spec.init, f"weights that are here: {error}") from error
    else:
        path = models.find_checkpoint(spec.init, data, [own] if own.is_file() else [])
    if path is None:
        allowed = (
            "pretrained, random, imagenet, or a safetensors file; no file has that path, and none "
            f"that name in {data / 'checkpoints'}"
        )
        raise InvalidValue("INIT", spec.init, allowed)
    try:
        inputs = resolved.inputs or datasets.load(spec.dataset, data).inputs
        classifier = models.Classifier(spec.model, inputs)
        _, remark = models.read_initial(path, classifier, spec.seed)
    except InvalidValue as error:
        raise InvalidValue("INIT", spec.init, error.allowed) from error
    except MissingData as error:
        raise InvalidValue("INIT", spec.init, f"a readable file: {error}") from error
    note = f"INIT={spec.init} has SHA-256 {models.sha256(path)}"
    return ([own] if path == own else []), [note, *filter(None, [remark])]
