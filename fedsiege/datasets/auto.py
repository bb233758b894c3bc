"""``auto``: MNIST if it is present or can be downloaded within a few seconds, else digits."""

from pathlib import Path

from fedsiege.datasets.base import registry
from fedsiege.errors import InvalidValue, MissingData

AUTO = "auto"
_WANTED = "mnist"
_FALLBACK = "digits"


def resolve(name: str, root: Path, patience_s: float = 5.0) -> tuple[str, str]:
    """Return the data set that a run uses, which is then on this machine, and the reason.

    Neither torch nor torchvision is imported here, so this can run in a thread while a program
    starts (``asyncio.to_thread``). For ``auto`` it takes little longer than ``patience_s``, and
    without a network a fraction of a second.

    Args:
        name: "auto" or a data set as text. A named data set is never replaced by another.
        root: the folder of the data sets.
        patience_s: the time limit of the download for ``auto``, in seconds.

    Returns:
        The name of the data set, and a sentence that says what was chosen and why.

    Raises:
        InvalidValue: the name is unknown.
        MissingData: a named data set is missing and cannot be downloaded.
    """
    chosen = _WANTED if name == AUTO else name
    try:
        source = registry.parse(chosen)
    except InvalidValue as error:
        more = "" if error.name != "dataset" or chosen in registry.names() else f", {AUTO}"
        raise InvalidValue("dataset", name, error.allowed + more) from None
    if source.is_here(root):
        return chosen, f"using {chosen}, {source.summary}"
    if name != AUTO:
        source.obtain(root)
        return chosen, f"using {chosen}, {source.summary}, downloaded into {root}/"
    try:
        source.fetch(root, patience_s)
    except MissingData as error:
        fallback = registry.create(_FALLBACK)
        return _FALLBACK, f"{error}: using {_FALLBACK}, {fallback.summary}"
    return chosen, f"using {chosen}, {source.summary}, downloaded into {root}/"
