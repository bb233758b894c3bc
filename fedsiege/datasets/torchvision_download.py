"""The process that ``download.py`` starts, with the arguments ``CLASS FOLDER LIMIT_S MIRROR...``.

CLASS is a class of torchvision, with the parts of the data set after colons: ``SVHN:train:test``.
Its exit status is 0, or not 0 with the reason in the last line of stderr.
"""

import http.client
import math
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

#: A mirror that does not answer within this time counts as unreachable.
SILENCE_S = 20.0


def main(arguments: Sequence[str]) -> None:
    """Download one data set into a folder."""
    class_name, folder, limit_s, *mirrors = arguments
    # The parent kills this process at the time limit; if the parent is gone, the alarm does.
    signal.alarm(math.ceil(float(limit_s)) + 1)
    socket.setdefaulttimeout(SILENCE_S)
    # Without a network this fails in milliseconds, the import of torchvision takes seconds.
    problems = [unreachable(mirror) for mirror in mirrors]
    if all(problems):
        sys.exit(f"no network: {problems[0]}")
    from fedsiege import torchvision_import

    try:
        name, *parts = class_name.split(":")
        source = getattr(torchvision_import.load().datasets, name)
        for part in [[one] for one in parts] or [[]]:
            source(folder, *part, download=True)
    except (RuntimeError, OSError) as error:
        sys.exit(" ".join(str(error).split()))


def unreachable(address: str) -> str | None:
    """Return why an address does not answer; None if it does, even with an HTTP error."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD")).close()  # noqa: S310
    except urllib.error.HTTPError:
        return None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)  # URLError wraps the actual one
        return getattr(reason, "strerror", None) or str(reason) or type(error).__name__
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
