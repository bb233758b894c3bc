"""The process that ``download.py`` starts for a file: its arguments are ``URL TARGET MD5 LIMIT_S``.

Its exit status is 0, or not 0 with the reason in the last line of stderr.
"""

import hashlib
import http.client
import math
import signal
import socket
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from fedsiege.datasets.torchvision_download import SILENCE_S, unreachable

_PIECE = 2**20


def main(arguments: Sequence[str]) -> None:
    """Download a file and check its MD5."""
    url, target, md5, limit_s = arguments
    # The parent kills this process at the time limit; if the parent is gone, the alarm does.
    signal.alarm(math.ceil(float(limit_s)) + 1)
    socket.setdefaulttimeout(SILENCE_S)
    if problem := unreachable(url):
        sys.exit(f"no network: {problem}")
    digest = hashlib.md5(usedforsecurity=False)  # the checksum that is published
    try:
        with urllib.request.urlopen(url) as source, Path(target).open("wb") as file:  # noqa: S310
            while piece := source.read(_PIECE):
                digest.update(piece)
                file.write(piece)
    except (OSError, http.client.HTTPException) as error:
        sys.exit(" ".join(str(error).split()))
    if digest.hexdigest() != md5:
        sys.exit(f"what came has the MD5 {digest.hexdigest()}, not {md5}")


if __name__ == "__main__":
    main(sys.argv[1:])
