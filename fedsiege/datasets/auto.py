"""``auto``: MNIST if it is there or can be had within a few seconds, else digits."""

from pathlib import Path

from fedsiege.datasets.base import DOWNLOAD_LIMIT_S, registry
from fedsiege.errors import InvalidValue, MissingData

AUTO = "auto"
_WANTED = "mnist"
_FALLBACK = "digits"


def resolve(name: str, root: Path, patience_s: float = 5.0) -> tuple[str, str]:
    """Settle which data set a run uses and see that it is on this machine.

    Neither torch nor torchvision is imported here, so this can run in a thread while a program
    starts (``asyncio.to_thread``). It never takes much longer than ``patience_s`` for ``auto``;
    without a network it takes a fraction of a second.

    Args:
        name: "auto" or the name of a data set. A named one never falls back.
        root: the folder of the data sets.
        patience_s: how long ``auto`` may try to download, in seconds.

    Returns:
        The data set's name, and a sentence for people on what was chosen and why.

    Raises:
        InvalidValue: unknown name.
        MissingData: a named data set is absent and cannot be downloaded.
    """
    chosen = _WANTED if name == AUTO else name
    try:
        source = registry.create(chosen)
    except InvalidValue as error:
        raise InvalidValue("dataset", name, f"{error.allowed}, {AUTO}") from None
    if source.is_here(root):
        return chosen, f"using {chosen}, {source.summary}"
    try:
        source.fetch(root, patience_s if name == AUTO else DOWNLOAD_LIMIT_S)
    except MissingData as error:
        if name != AUTO:
            raise
        fallback = registry.create(_FALLBACK)
        return _FALLBACK, f"{error}: using {_FALLBACK}, {fallback.summary}"
    return chosen, f"using {chosen}, {source.summary}, downloaded into {root}/"
