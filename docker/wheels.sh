#!/usr/bin/env bash
# Downloads the locked packages to wheels/, for an image build that cannot see this machine's wheels:
#   docker/wheels.sh
# Does nothing if pip has no find-links folder: then the build downloads the packages itself.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
STAMP=wheels/.made-from

if ! "$PYTHON" -m pip config list | grep find-links >/dev/null; then
    exit
fi
made_from=$(cat pyproject.toml requirements.lock | sha256sum)
if [ "$(cat $STAMP 2>/dev/null)" = "$made_from" ]; then
    exit
fi
rm -rf wheels
mkdir wheels
# For the image's version of Python. The packages to run and to build it are installed into separate
# environments there, and may be incompatible: each needs another version of protobuf.
for purpose in run build; do
    "$PYTHON" -m pip download -qq --dest wheels --python-version 3.11 --only-binary :all: \
        --constraint requirements.lock --requirement <("$PYTHON" docker/needs.py $purpose)
done
echo "$made_from" >$STAMP
echo "wheels/: $(du -sh wheels | cut -f1)"
